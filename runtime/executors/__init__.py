"""Executors: they load the options of a store and run them, by LiteRT's C API or by the public `Interpreter`."""

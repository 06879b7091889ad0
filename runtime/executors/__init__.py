"""Executors: what loads the options of a store and runs them, through LiteRT's C API or the public `Interpreter`."""

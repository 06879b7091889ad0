"""The subcommands of `legodnn`, each in its own module: `add_parser(subparsers, summary)` declares it, `run(args)`
does it; `legodnn.cli` has the summaries.

The other modules are parts of them: `parser` and `budget` hold their flags, `plotting` tells whether they can
draw, `sweep` is a part of `plan`, `demo_trace` of `demo`, and `unit` of `service`.
"""

"""The subcommands of `legodnn`, each in its own module: `add_parser(subparsers)` declares it, `run(args)` does it."""

"""The subcommands of `legodnn`, a module each: `add_parser(subparsers)` declares one, `run(args)` does it."""

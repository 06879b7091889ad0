"""Run the `legodnn` command as `python -m legodnn`."""

import sys

from legodnn.cli import main

sys.exit(main())

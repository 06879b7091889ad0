"""`python -m legodnn` is the `legodnn` command."""

import sys

from legodnn.cli import main

sys.exit(main())

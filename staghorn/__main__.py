"""`python -m staghorn` is the same command as `staghorn`."""

import sys

from staghorn.cli import main

sys.exit(main())

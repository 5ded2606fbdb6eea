"""``python -m companion --help``: the commands of the lab."""

import sys

from companion.workflow.commands import main

sys.exit(main())

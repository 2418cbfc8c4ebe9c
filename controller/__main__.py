"""`python -m controller` is `ofa-avse`."""

import sys

from controller.cli import main

sys.exit(main())

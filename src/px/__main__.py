"""``python -m px``.

With ``-m`` Python looks for modules in the working directory first. Another user may have left one there, so
Px takes that directory off the path, unless its own package is there.
"""

import os
import sys

if not sys.flags.safe_path and sys.path[0] != os.path.dirname(os.path.dirname(__file__)):  # noqa: PTH120 - no import yet
    del sys.path[0]

from px.cli.main import main

if __name__ == "__main__":
    main()

"""Px from a clone, without installing it: ``python px.py [OPTIONS]``."""

import sys
from pathlib import Path

# In front of this directory, so that `import px` finds the package and not this file.
sys.path.insert(0, str(Path(__file__).resolve().parent / "src"))

if __name__ == "__main__":
    from px.cli.main import main

    main()
else:
    # `import px` in a Python that was started here found this file all the same: the package takes its place.
    del sys.modules[__name__]
    import px  # noqa: F401

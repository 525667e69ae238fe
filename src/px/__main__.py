"""``python -m px``."""

from px.cli import main

if __name__ == "__main__":
    main()

"""Where the binaries begin."""

from px.cli import main

main()

"""Where the binaries begin."""

from px.cli.main import main

main()

"""Writes docs/first-steps/*.svg, pictures of a terminal, from runs of Px in the corporate network in a box.

Run it after a change of what Px shows there, as ``make pictures``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.corpnet.network import CorporateNetwork
from tests.e2e.first_steps import take_first_steps


def main() -> None:
    """Write the pictures."""
    with CorporateNetwork() as network, tempfile.TemporaryDirectory(prefix="px-") as directory:
        for picture in take_first_steps(network, Path(directory)):
            picture.write()


if __name__ == "__main__":
    main()

"""What `pip install -e FOLDER` does, as far as a page needs it: the folder is found from now on. Other requirements are here already.

    python install.py install -e FOLDER

It goes into the folder that BILLHOOK_SITE names, which each page has for itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from describing import describe


def main(arguments: list[str]) -> None:
    """Link the modules, and write the metadata."""
    assert arguments[:2] == ["install", "-e"], f"nobody knows how to do {arguments}"
    folder, site = Path(arguments[2].partition("[")[0]).resolve(), Path(os.environ["BILLHOOK_SITE"])
    for module in (folder / "src").iterdir():
        (site / module.name).symlink_to(module)
    describe(folder, site)


if __name__ == "__main__":
    main(sys.argv[1:])

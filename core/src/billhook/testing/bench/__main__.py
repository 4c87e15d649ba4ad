"""``python -m billhook.testing.bench``."""

from __future__ import annotations

import sys

from billhook.testing.bench import main

if __name__ == "__main__":
    sys.exit(main())

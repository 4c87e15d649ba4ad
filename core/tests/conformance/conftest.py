"""The broken providers of these tests live in ``core/tests/kit``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kit"))

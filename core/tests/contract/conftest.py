"""The shop of these tests lives in ``core/tests/kit``."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "kit"))

from engine_fixtures import *  # noqa: F403 - fixtures, for every test in this folder

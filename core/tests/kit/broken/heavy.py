"""A provider in a module that imports a package which its declaration does not need."""

from __future__ import annotations

import hypothesis

from billhook.testing.sandbox.provider import SandboxProvider


class Heavy(SandboxProvider):
    """Rule LOAD: describing it imports somebody else's package."""

    made_with = hypothesis.__version__

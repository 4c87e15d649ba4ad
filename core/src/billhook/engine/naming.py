"""Under which id an app knows something of ours."""

from __future__ import annotations

from typing import NamedTuple


class Named(NamedTuple):
    """An app's id for something of ours: of an ``invoice``, a ``credit_note``, a ``payment``, a ``refund`` or a ``customer``."""

    app_id: str
    kind: str
    external_id: str
    item_id: str

"""The revisions of the schema. `billhook.store.migrate` applies them; `versions` holds one file for each."""

from __future__ import annotations

HEAD = "0001"
"""The newest revision."""

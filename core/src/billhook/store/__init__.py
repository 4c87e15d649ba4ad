"""The durable truth: one SQLite file or one PostgreSQL database, written by one group-committing thread."""

from __future__ import annotations

from billhook.store.database import Database
from billhook.store.statements import Delete, Insert, Update, Upsert
from billhook.store.transaction import Transaction

__all__ = ["Database", "Delete", "Insert", "Transaction", "Update", "Upsert"]

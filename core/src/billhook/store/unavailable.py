"""A database that can't be reached or used just now is told of as such, whatever its driver calls it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from billhook.errors import StoreUnavailable
from billhook.store.driver_errors import is_disk_trouble, is_unavailable, said


def told(error: Exception) -> Exception:
    """The error itself, or StoreUnavailable where not the job but the database is to blame."""
    if is_disk_trouble(error):
        cure = "Make room on its disk, then do it again."
    elif is_unavailable(error):
        cure = "Do it again once it is back."
    else:
        return error
    reason = " ".join(said(error).split())
    unavailable = StoreUnavailable(f"The database can't be used now ({reason}). Nothing was stored. {cure}")
    unavailable.__cause__ = error
    return unavailable


@contextmanager
def telling_when_unavailable() -> Iterator[None]:
    """Raise StoreUnavailable for what a driver says of a database that can't be used."""
    try:
        yield
    except DBAPIError as error:
        raise told(error) from error

"""The garbage collector in a process that does nothing but work."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = (50_000, 20, 50)


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Within the block the collector looks less often, in the whole process.

    The lines of a thousand invoices are a million objects without cycles, and looking through them again and again takes a worker a
    fifth of its time. Memory is freed by counting references all the same.
    """
    before = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)

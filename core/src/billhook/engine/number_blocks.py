"""Values of independent series, reserved in blocks so that most cost nothing.

What is left of a block when the process ends is never used: a gap, which these series may have.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from weakref import WeakKeyDictionary

from billhook.engine.counters import Counter, reserve
from billhook.engine.unit import Unit
from billhook.store.database import Database
from billhook.store.transaction import Transaction

LARGEST_BLOCK = 128

Blocks = defaultdict[Counter, deque[int]]


class NumberBlocks:
    """Blocks of this process. A process begins with small ones, so that a short-lived one leaves small gaps."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._committed: Blocks = defaultdict(deque)
        self._uncommitted: WeakKeyDictionary[Transaction, Blocks] = WeakKeyDictionary()
        self._sizes: dict[Counter, int] = {}

    def next_value(self, unit: Unit, counter: Counter) -> int:
        """A value that nobody else gets. It comes again, if at all, only when the transaction is rolled back."""
        value = self._left(unit.tx, counter)
        if value is not None:
            return value
        if unit.bound and self._database.dialect == "sqlite":
            # One alone: where the host goes back to a savepoint, what was left of a block would be given out again.
            return reserve(unit.tx, counter, 1)[0]
        self._reserve(unit, counter)
        return self.next_value(unit, counter)

    def _left(self, tx: Transaction, counter: Counter) -> int | None:
        with self._lock:
            for blocks in (self._committed, self._uncommitted.get(tx)):
                if blocks is not None and blocks[counter]:
                    return blocks[counter].popleft()
        return None

    def _reserve(self, unit: Unit, counter: Counter) -> None:
        size = self._sizes[counter] = min(LARGEST_BLOCK, 2 * self._sizes.get(counter, 1))
        if unit.bound:
            # A host may keep its transaction open for long; the counter's row must not stay locked with it.
            block = self._database.write(lambda tx: reserve(tx, counter, size))
            with self._lock:
                self._committed[counter].extend(block)
            return
        self._keep_until_commit(unit.tx, counter, reserve(unit.tx, counter, size))

    def _keep_until_commit(self, tx: Transaction, counter: Counter, block: range) -> None:
        with self._lock:
            is_first = tx not in self._uncommitted
            self._uncommitted.setdefault(tx, defaultdict(deque))[counter].extend(block)
        if is_first:
            tx.after_commit(lambda: self._share(tx))

    def _share(self, tx: Transaction) -> None:
        with self._lock:
            for counter, values in self._uncommitted.pop(tx, Blocks(deque)).items():
                self._committed[counter].extend(values)

"""The one thread of a process that writes: it takes whatever jobs wait and commits them together.

A commit costs the same for one job or fifty, so the more is asked of the writer at once, the less each job costs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from billhook.errors import StoreError, StoreUnavailable
from billhook.faults import Faults
from billhook.store.driver_errors import is_turned_away, said
from billhook.store.transaction import Transaction
from billhook.store.unavailable import told

T = TypeVar("T")
Job = Callable[[Transaction], T]

log = logging.getLogger(__name__)


class Backend(Protocol):
    """What the writer needs of a database."""

    def connect_writer(self) -> Connection: ...

    def begin_write(self, connection: Connection) -> None: ...


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    job: Job[Any]
    future: Future[Any] = field(default_factory=Future)


class _Undone(Exception):
    """A job raised. Nothing of its group is stored."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Writer:
    """Runs jobs one after the other in its own thread, each exactly once in a transaction that was committed.

    A job may be run again when its group was rolled back, so it does nothing but work on its transaction. When one
    job of a group raises, the group is rolled back and each job runs again in a transaction of its own: only the bad
    one fails, with its own exception.
    """

    def __init__(self, backend: Backend, faults: Faults) -> None:
        self._backend = backend
        self._faults = faults
        self._connection: Connection | None = None
        self._waiting: list[_Entry] = []
        self._taken: list[_Entry] = []
        self._closing = False
        self._death: BaseException | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, name="billhook-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job[T]) -> Future[T]:
        """Queue the job. The future resolves once the job's transaction is committed."""
        entry = _Entry(job)
        self.check_open()  # before the lock, which a thread may have held when this process was forked
        with self._changed:
            self.check_open()
            self._waiting.append(entry)
            self._changed.notify()
        return entry.future

    def write(self, job: Job[T]) -> T:
        """Run the job and return its result once that is committed. RuntimeError from inside a job."""
        if threading.current_thread() is self._thread:
            raise RuntimeError(
                "The thread that writes can't wait for another write. A job uses its own transaction; an observer hands what it wants "
                "written to another thread."
            )
        return self.submit(job).result()

    def close(self) -> None:
        """Write what waits, then stop. Nothing is taken any more from here on."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def check_open(self) -> None:
        """Refuse (StoreError) what is asked of a writer that takes nothing any more: one that died, was closed, or is a forked copy."""
        if self._death is not None:
            raise StoreError(f"The writer died of {self._death!r}. Open the database again.") from self._death
        if self._closing:
            raise StoreError("The database is closed. Open it again to write.")
        if not self._thread.is_alive():
            raise StoreError("This process was forked and has no writer. Open the database after the fork.")

    def _serve(self) -> None:
        try:
            while self._take():
                self._settle(self._taken)
        except BaseException as death:  # noqa: BLE001 - whatever ends the thread has to reach everybody who waits
            self._drop_connection()
            self._die(death)
        else:
            self._drop_connection()

    def _take(self) -> bool:
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            self._taken, self._waiting = self._waiting, []
        self._taken = [entry for entry in self._taken if entry.future.set_running_or_notify_cancel()]
        return bool(self._taken) or not self._closing

    def _settle(self, group: Sequence[_Entry]) -> None:
        try:
            self._commit(group)
        except _Undone as undone:
            self._settle_one_by_one(group, undone.cause)
        except Exception as refusal:  # noqa: BLE001 - handed to everybody who waits for this group
            _fail(group, told(refusal))

    def _settle_one_by_one(self, group: Sequence[_Entry], cause: Exception) -> None:
        if len(group) == 1 and not _may_pass(cause):
            _fail(group, told(cause))
            return
        for entry in group:
            try:
                self._commit([entry])
            except _Undone as undone:
                _fail([entry], told(undone.cause))
            except Exception as refusal:  # noqa: BLE001 - handed to whoever waits for this job
                _fail([entry], told(refusal))

    def _commit(self, group: Sequence[_Entry]) -> None:
        if not group:
            return
        connection = self._begin()
        transaction = Transaction(connection)
        try:
            results = [entry.job(transaction) for entry in group]
        except Exception as cause:
            self._roll_back(connection)
            raise _Undone(cause) from cause
        try:
            self._faults.reach("commit.before")
            connection.commit()
        except Exception as error:
            self._drop_connection()
            raise StoreUnavailable(
                f"The database did not confirm a commit ({said(error)}). It may be stored or not: read again before you "
                "write again."
            ) from error
        self._faults.reach("commit.after")
        _call(transaction.callbacks)
        for entry, result in zip(group, results, strict=True):
            entry.future.set_result(result)

    def _begin(self) -> Connection:
        if self._connection is None:
            self._connection = self._backend.connect_writer()
        self._backend.begin_write(self._connection)
        return self._connection

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.rollback()
        except DBAPIError:
            log.warning("The writer's connection was lost; it opens another one.", exc_info=True)
            self._drop_connection()
            return
        if connection.invalidated:
            self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.invalidate()
        connection.close()

    def _die(self, death: BaseException) -> None:
        # Told under the lock, so that no job can be queued behind the last look at the queue.
        with self._changed:
            self._death = death
            left, self._waiting = self._taken + self._waiting, []
        _fail([entry for entry in left if not entry.future.done()], death)


def _fail(entries: Sequence[_Entry], error: BaseException) -> None:
    for entry in entries:
        entry.future.set_exception(error)


def _call(callbacks: Sequence[Callable[[], object]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception:
            log.exception("A callback after a commit failed. What was committed stays stored.")


def _may_pass(error: Exception) -> bool:
    """Whether the same job, run again alone on a good connection, may well succeed."""
    if not isinstance(error, DBAPIError):
        return False
    return error.connection_invalidated or is_turned_away(error)

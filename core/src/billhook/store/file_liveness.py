"""Owners that share a disk: one locked file each, in one folder."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from billhook.errors import StoreUnavailable
from billhook.store.liveness import Claim, already_held, check_owner_id

# Somebody who only looks holds the lock for a few microseconds; a claim that meets them tries again.
TRIES = 20
PAUSE_SECONDS = 0.005

_open_claims: weakref.WeakSet[FileClaim] = weakref.WeakSet()


class FileClaim(Claim):
    """A lock on the owner's file. A forked child does not inherit it, so it can't outlive the owner."""

    def __init__(self, owner_id: str, path: Path, descriptor: int) -> None:
        super().__init__(owner_id)
        self._path = path
        self._descriptor: int | None = descriptor
        _open_claims.add(self)

    def is_held(self) -> bool:
        return self._descriptor is not None

    def release(self) -> None:
        if self._descriptor is None:
            return
        self._path.unlink(missing_ok=True)
        self.let_go()

    def let_go(self) -> None:
        """Close the file and leave it to the sweep."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


class FileLiveness:
    """Owners whose lock files stand in `folder`, which is made when the first one claims."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def claim(self, owner_id: str) -> FileClaim:
        path = self._path(owner_id)
        for _ in range(TRIES):
            descriptor = self._open(path)
            if _lock(descriptor) and _is_still_at(path, descriptor):
                return FileClaim(owner_id, path, descriptor)
            os.close(descriptor)
            threading.Event().wait(PAUSE_SECONDS)
        raise already_held(owner_id)

    def is_alive(self, owner_id: str) -> bool:
        with _looking_at(self._path(owner_id)) as descriptor:
            return descriptor is not None and not _lock(descriptor, shared=True)

    def sweep(self) -> int:
        if not self._folder.is_dir():
            return 0
        return sum(self._remove_if_dead(path) for path in sorted(self._folder.glob("*.lock")))

    def _path(self, owner_id: str) -> Path:
        return self._folder / f"{check_owner_id(owner_id)}.lock"

    def _open(self, path: Path) -> int:
        try:
            self._folder.mkdir(exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreUnavailable(
                f"{path} can't be made: {error.strerror}. Check its disk, and whether it is full."
            ) from error

    def _remove_if_dead(self, path: Path) -> bool:
        with _looking_at(path) as descriptor:
            if descriptor is None or not _lock(descriptor) or not _is_still_at(path, descriptor):
                return False
            # Removed while it is locked: a claim that opened it meanwhile sees that its file is gone.
            path.unlink()
            return True


@contextmanager
def _looking_at(path: Path) -> Iterator[int | None]:
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, shared: bool = False) -> bool:
    import fcntl  # not there on Windows, where everything else still has to be importable

    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _let_go_in_child() -> None:
    for claim in list(_open_claims):
        claim.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)

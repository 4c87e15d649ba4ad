"""The keys that credentials are encrypted with at rest: given by the host, by the environment, or kept in a file beside the database.

The first key encrypts, every key decrypts. So a key is changed by putting a new one in front, encrypting anew, and taking the old one away.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from billhook.errors import ConfigError, CredentialKeyError
from billhook.store.database import Database
from billhook.store.sqlite import SqliteBackend

VARIABLE = "BILLHOOK_CREDENTIAL_KEYS"
MAKE_ONE = "Make one: billhook db make-credential-key"
OWNER_ONLY = 0o600


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys in use, none of them ever shown."""

    keys: tuple[str, ...] = field(repr=False)
    source: str

    def __post_init__(self) -> None:
        from cryptography.fernet import Fernet

        for place, key in enumerate(self.keys, 1):
            try:
                Fernet(key)
            except ValueError:
                raise ConfigError(
                    f"Key {place} of {self.source} is no key: it must be 32 bytes in URL-safe base64. {MAKE_ONE}"
                ) from None

    def seal(self, secrets: bytes) -> bytes:
        """Encrypted with the first key."""
        from cryptography.fernet import Fernet

        return Fernet(self.keys[0]).encrypt(secrets)

    def unseal(self, stored: bytes) -> bytes | None:
        """Decrypted with whichever key fits, None when none does."""
        return _opened(self.keys, stored)

    def is_current(self, stored: bytes) -> bool:
        """Whether the first key encrypted it."""
        return _opened(self.keys[:1], stored) is not None


@runtime_checkable
class CredentialKeys(Protocol):
    """Where the keys come from."""

    @property
    def ring(self) -> KeyRing | None:
        """The keys as they are now, None where there are none yet."""
        ...

    @property
    def missing(self) -> str:
        """What to tell where there are none, but something was encrypted."""
        ...

    def make(self) -> KeyRing:
        """The first key, when something is to be encrypted for the first time. Raises CredentialKeyError where a person has to give it."""
        ...

    def renew(self) -> KeyRing:
        """The keys for encrypting anew: with a fresh one in front where they are kept here, else as they were given."""
        ...


@dataclass(frozen=True, slots=True)
class GivenKeys:
    """Keys that the host or the environment gives."""

    ring: KeyRing

    @property
    def missing(self) -> str:
        """Never the case."""
        return f"{self.ring.source} holds no key. {MAKE_ONE}"

    def make(self) -> KeyRing:
        """Those that were given."""
        return self.ring

    def renew(self) -> KeyRing:
        """Those that were given: whoever gave them puts the new one in front."""
        return self.ring


@dataclass(frozen=True, slots=True)
class NoKeys:
    """Nobody gave a key, and there is no safe place to keep one: a database on a server may be used from many machines."""

    ring: None = None

    @property
    def missing(self) -> str:
        """How to give keys."""
        return (
            f"Credentials are stored encrypted, and there is no key. Set {VARIABLE} wherever Billhook runs on this database, or pass "
            f"credential_keys to Engine.open. {MAKE_ONE}"
        )

    def make(self) -> KeyRing:
        """Raises CredentialKeyError."""
        raise CredentialKeyError(self.missing)

    def renew(self) -> KeyRing:
        """Raises CredentialKeyError."""
        raise CredentialKeyError(self.missing)


@dataclass(frozen=True, slots=True)
class KeyFile:
    """One key a line in a file that its owner alone may read. Read at every use, so that a key added by another process is known at once."""

    path: Path

    @property
    def ring(self) -> KeyRing | None:
        """The keys in the file, None without a file. Raises CredentialKeyError for a file that others may read too."""
        try:
            _refuse_shared(self.path)
            text = self.path.read_text(encoding="ascii")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialKeyError(
                f"The credential keys in {self.path} can't be read ({error}). Let the user that runs Billhook read the file."
            ) from None
        keys = tuple(line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))
        return KeyRing(keys, str(self.path)) if keys else None

    @property
    def missing(self) -> str:
        """Where the file should be, and what to do when it is lost."""
        return (
            f"The credentials in this database are encrypted, and their key file {self.path} is missing. Put it back, or set {VARIABLE} to "
            f"its keys. If they are lost, make a key, set {VARIABLE} to it or put it into the file, and set the credentials of each app again, "
            f"all of them. {MAKE_ONE}"
        )

    def make(self) -> KeyRing:
        """A file with one key. Of several processes that make it at once, one wins and all use its key."""
        if self.ring is None:
            self._write([new_key()], replace=False)
        assert self.ring is not None
        return self.ring

    def renew(self) -> KeyRing:
        """A fresh key in front. The others stay: backups of the database still need them."""
        before = self.ring
        self._write([new_key(), *(before.keys if before else ())], replace=True)
        assert self.ring is not None
        return self.ring

    def _write(self, keys: Sequence[str], *, replace: bool) -> None:
        # Whole or not at all: half a key, seen once by another process, would lose what that process encrypts with it.
        passing = self.path.with_name(f"{self.path.name}.{os.getpid()}.{new_key()[:8]}")
        with os.fdopen(os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY), "w") as file:
            file.write("".join(f"{key}\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        try:
            if replace:
                passing.replace(self.path)
            else:
                with suppress(FileExistsError):
                    os.link(passing, self.path)
        finally:
            passing.unlink(missing_ok=True)
        _sync_folder(self.path.parent)


def keys_for(database: Database, given: Sequence[str], environment: Mapping[str, str]) -> CredentialKeys:
    """The keys that were given, else those of the environment, else a file beside a SQLite database, else none."""
    if given:
        return GivenKeys(KeyRing(tuple(given), "credential_keys"))
    from_environment = environment.get(VARIABLE, "").replace(",", " ").split()
    if from_environment:
        return GivenKeys(KeyRing(tuple(from_environment), VARIABLE))
    if isinstance(database.backend, SqliteBackend):
        path = database.backend.path
        return KeyFile(path.with_name(f"{path.name}.keys"))
    return NoKeys()


def new_key() -> str:
    """A fresh key, to be kept secret."""
    from cryptography.fernet import Fernet

    return Fernet.generate_key().decode()


def _opened(keys: Sequence[str], stored: bytes) -> bytes | None:
    from cryptography.fernet import Fernet, InvalidToken, MultiFernet

    try:
        return MultiFernet([Fernet(key) for key in keys]).decrypt(stored)
    except InvalidToken:
        return None


def _refuse_shared(path: Path) -> None:
    status = path.stat()
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISREG(status.st_mode) and mode & ~OWNER_ONLY:
        raise CredentialKeyError(
            f"The credential keys in {path} may be used by others (mode {mode:04o}), so they protect nothing. Run: chmod 600 {path} - and if "
            "others could read them, make new ones afterwards: billhook db rotate-credentials"
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""What can go wrong, as one tree. Every message says what happened, to which thing, and what to do next.

BillhookError
├── InvalidInput            a value from outside is wrong; nothing was stored
├── NotFound                no such thing in this namespace
├── Conflict                it clashes with what is stored
│   ├── Deleted             it was deleted: it can be read, and not be changed or used
│   ├── KeyReused           a client key was used before with other content
│   │   └── KeyOfDeleted    a client key belongs to an invoice that was deleted
│   └── InUse               something open still needs it
├── NotAllowed              the invoice's present state does not allow that action
├── Unsupported             the provider does not declare that capability
├── ConfigError             settings or credentials of an app are wrong
├── CredentialKeyError      stored credentials can't be decrypted, or there is no key to encrypt them
├── ProviderLoadError       a provider could not be found or imported
│   └── ContractViolation   a provider breaks the plugin contract
├── WebhookRefused          a webhook's signature or age is not acceptable
└── StoreError              the database is missing, of another version, closed, or used in a way that it can't be
    ├── StaleWrite          somebody else changed the row first; read again and decide again
    └── StoreUnavailable    it can't be reached, is locked, full or read-only just now: the same may succeed later
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LONGEST_SHOWN = 64
"""Of an id that is not there, no more letters than these are shown."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input: a stable code, a sentence, and where (a JSON pointer, "" for the whole)."""

    code: str
    message: str
    path: str = ""


class BillhookError(Exception):
    """Something went wrong in Billhook."""

    code = "error"


class InvalidInput(BillhookError):
    """A value from outside is wrong. Nothing was stored."""

    def __init__(self, code: str, message: str, path: str = "", *, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.path = path
        self.problems: tuple[Problem, ...] = tuple(problems) or (Problem(code, message, path),)


class NotFound(BillhookError):
    """No such thing in this namespace."""

    code = "not_found"
    _cure = "List what is there, or check the namespace."

    def __init__(self, kind: str, id: str, namespace: str | None = None, *, there_are: Sequence[str] = ()) -> None:
        where = f" in namespace {_shown(namespace)!r}" if namespace else ""
        cure = f"There are: {', '.join(there_are)}." if there_are else self._cure
        super().__init__(f"There is no {kind} {_shown(id)!r}{where}. {cure}")
        self.kind = kind
        self.id = id


class Conflict(BillhookError):
    """It clashes with what is stored."""

    code = "conflict"

    def __init__(self, message: str, code: str = "conflict") -> None:
        super().__init__(message)
        self.code = code


class Deleted(Conflict):
    """It was deleted. It can be read, and not be changed or used."""


class KeyReused(Conflict):
    """A client key was used before with other content."""

    code = "key_reused"
    _why = "has other content. Send the same content again to get the same answer, or use a new key."

    def __init__(self, key: str, existing_id: str) -> None:
        super().__init__(f"The key {key!r} already belongs to {existing_id}, which {self._why}", self.code)
        self.existing_id = existing_id


class KeyOfDeleted(KeyReused):
    """A client key belongs to an invoice that was deleted."""

    code = "key_of_deleted"
    _why = "was deleted. What takes its place needs a new key."


class InUse(Conflict):
    """Something open still needs it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "in_use")


class NotAllowed(BillhookError):
    """The present state does not allow that action."""

    def __init__(self, message: str, code: str = "invoice_action_not_available") -> None:
        super().__init__(message)
        self.code = code


class Unsupported(BillhookError):
    """The provider does not declare that capability."""

    code = "unsupported"


class ConfigError(BillhookError):
    """Settings or credentials of an app are wrong."""

    code = "config_invalid"


class CredentialKeyError(BillhookError):
    """Stored credentials can't be decrypted, or there is no key to encrypt them."""

    code = "credential_key"


class ProviderLoadError(BillhookError):
    """A provider could not be found or imported."""

    code = "provider_not_loaded"


class ContractViolation(ProviderLoadError):
    """A provider breaks the plugin contract."""

    code = "contract_violation"


class WebhookRefused(BillhookError):
    """A webhook's signature or age is not acceptable. Nothing was stored."""

    code = "webhook_refused"


class StoreError(BillhookError):
    """The database is missing, of another version, closed, or used in a way that it can't be."""

    code = "store"


class StaleWrite(StoreError):
    """Somebody else changed the row first; read again and decide again."""

    code = "stale_write"


class StoreUnavailable(StoreError):
    """The database can't be reached, is locked, full or read-only just now. The same may succeed later."""

    code = "store_unavailable"


def _shown(id: str) -> str:
    return f"{id[:LONGEST_SHOWN]}..." if len(str(id)) > LONGEST_SHOWN else id

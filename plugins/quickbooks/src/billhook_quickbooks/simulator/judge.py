"""Judges the bodies of requests by Intuit's own schema: its XSDs as JSON Schema, in which unknown members are refused.

The schema knows no lengths and requires nothing, so it judges the shape; the rest is the company's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from billhook_quickbooks.simulator.wire import Entity, Refused

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

FILE = "qbo-v3-entities.json"
# Nobody writes these; the company does. SyncToken and Id belong to a change.
_READ_ONLY = frozenset(
    {"MetaData", "domain", "status", "Balance", "HomeTotalAmt", "UnappliedAmt", "RemainingCredit", "LinkedTxn"}
)
_OF_DOCUMENTS = frozenset({"TotalAmt"})


class Judge:
    """Refuses what Intuit's schema does not know. Without a folder it judges nothing."""

    def __init__(self, schema_folder: str | Path | None) -> None:
        self._schema: Any = None
        self._validators: dict[str, Validator] = {}
        if schema_folder is not None:
            self._schema = json.loads((Path(schema_folder) / FILE).read_text(encoding="utf-8"))

    def check(self, kind: str, body: Entity) -> None:
        """Raise Refused with 2010 for a body that does not fit the schema of its kind."""
        self._refuse_read_only(kind, body)
        self._refuse_unfit(kind, body)

    def check_payload(self, kind: str, item: Entity) -> None:
        """The same for an item of a batch, which holds a body of that kind."""
        self._refuse_read_only(kind, item[kind])
        self._refuse_unfit("BatchItemRequest", item)

    def _refuse_read_only(self, kind: str, body: Entity) -> None:
        written = _READ_ONLY | (frozenset() if kind == "Payment" else _OF_DOCUMENTS)
        read_only = sorted(written & body.keys())
        if read_only and self._schema is not None:
            raise Refused(
                "2010", "Request has invalid or unsupported property", f"{', '.join(read_only)} can't be written"
            )

    def _refuse_unfit(self, kind: str, body: Entity) -> None:
        if self._schema is None:
            return
        error = next(self._validator(kind).iter_errors(_as_sent(body)), None)
        if error is not None:
            detail = f"{'/'.join(map(str, error.path))}: {error.message}"[:500]
            raise Refused("2010", "Request has invalid or unsupported property", detail)

    def _validator(self, kind: str) -> Validator:
        from jsonschema import Draft202012Validator, FormatChecker

        if kind not in self._validators:
            schema = {"$ref": f"#/$defs/{kind}", "$defs": self._schema["$defs"]}
            self._validators[kind] = Draft202012Validator(schema, format_checker=FormatChecker())
        return self._validators[kind]


def _as_sent(value: Any) -> Any:
    """Decimals of a body as the texts that they may also be written as."""
    return json.loads(json.dumps(value, default=str))

"""The journal of an operation: one attempt per step, with the frozen request, how often it was sent and what came back."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from billhook.contract import wire
from billhook.contract.requests import Call, Reply, Request, Step
from billhook.engine.moments import maybe_from_micros, maybe_micros, to_micros
from billhook.engine.recovery import Looked, Unanswered
from billhook.engine.sameness import digest
from billhook.errors import ContractViolation
from billhook.store import schema
from billhook.store.statements import Insert, Update, Upsert
from billhook.store.transaction import Transaction

SENDING, REFUSED, ANSWERED = "sending", "refused", "answered"

COLUMNS = (
    "id",
    "operation_id",
    "ordinal",
    "step",
    "status",
    "key",
    "digest",
    "request",
    "body",
    "effectful",
    "sends",
    "unknown",
    "ever_unknown",
    "burnt",
    "first_sent_at",
    "deadline",
    "looked",
    "verdict",
    "reply_status",
    "reply_headers",
    "reply_body",
    "reply_source",
    "packed",
)
# What a send or an answer changes; the request and its body stay as they were committed.
CHANGING = (
    "status",
    "key",
    "sends",
    "unknown",
    "ever_unknown",
    "burnt",
    "first_sent_at",
    "deadline",
    "looked",
    "verdict",
    "reply_status",
    "reply_headers",
    "reply_body",
    "reply_source",
)
INSERT_ATTEMPT = Insert(schema.attempt, COLUMNS)
UPDATE_ATTEMPT = Update(schema.attempt, key=("id",), set=CHANGING)
UPSERT_ATTEMPT = Upsert(schema.attempt, key=("id",), columns=COLUMNS)


@dataclass(slots=True)
class Attempt:
    """One step of an operation. ``unknown`` is true while some send may have been executed without our knowing."""

    id: str
    operation_id: str
    ordinal: int
    step: Request | Call
    key: str | None
    status: str = SENDING
    sends: int = 0
    unknown: bool = False
    ever_unknown: bool = False
    burnt: bool = False
    first_sent_at: datetime | None = None
    deadline: datetime | None = None
    looked: dict[int, Looked] = field(default_factory=dict)
    look_ups: int = 0
    verdict: str | None = None
    reply: Reply | None = None
    stored: bool = False
    changed: bool = True
    adopted: bool = False
    frozen: bytes | None = None

    @property
    def is_answered(self) -> bool:
        """An answer that the operation may read is journalled."""
        return self.status == ANSWERED

    @property
    def is_sending(self) -> bool:
        """A send began, and nothing is known of its end."""
        return self.status == SENDING

    def freeze(self) -> bytes:
        """The step as it is stored. Raises ContractViolation when it can't be."""
        if self.frozen is None:
            self.frozen = dump_step(self.step)
        return self.frozen

    def about_to_send(self, now: datetime, longest: timedelta) -> None:
        """Note, before it is committed, that a send begins."""
        self.changed = True
        self.status = SENDING
        self.sends += 1
        self.first_sent_at = self.first_sent_at or now
        self.deadline = now + longest
        self.looked = {}

    def kept_back(self) -> None:
        """The send that was about to begin does not take place."""
        self.sends -= 1
        self.status = REFUSED

    def renew_key(self, key: str | None) -> None:
        """From here on another key; its window begins with the next send."""
        self.changed = True
        self.key = key
        self.burnt = False
        self.first_sent_at = None

    def adopt(self, step: Request | Call, key: str | None) -> None:
        """Another request takes this step's place: every send of the old one was refused."""
        self.step = step
        self.frozen = None
        self.adopted = True
        self.renew_key(key)

    def refused(self, verdict: str) -> None:
        """This send was not executed. What earlier sends did stays as known or unknown as it was."""
        self.changed = True
        self.status = REFUSED
        self.verdict = verdict

    def lost(self, verdict: str, *, burnt: bool = False) -> None:
        """Nobody can say whether this send was executed."""
        self.changed = True
        self.status = REFUSED
        self.unknown = self.ever_unknown = True
        self.burnt = self.burnt or burnt
        self.verdict = verdict

    def answered(self, reply: Reply) -> None:
        """Keep the answer."""
        self.changed = True
        self.status = ANSWERED
        self.unknown = False
        self.verdict = "answered"
        self.reply = reply

    def looked_up(self, place: int, found: Looked | None) -> None:
        """Note what a look-up showed; None when it could not say."""
        self.changed = True
        self.look_ups += 1
        if found is not None:
            self.looked[place] = found

    def unanswered(self) -> Unanswered:
        """What recovery decides from."""
        assert self.deadline is not None
        first = self.first_sent_at or self.deadline
        return Unanswered(self.unknown, self.burnt, first, self.deadline, self.looked)

    def as_tuple(self) -> tuple[Any, ...]:
        """The row as stored."""
        body = self.step.body if isinstance(self.step, Request) else b""
        head = (self.id, self.operation_id, self.ordinal, self.step.step, self.status, self.key)
        request = (digest(self.step), self.freeze(), body, int(self.step.effectful))
        return (*head, *request, *self._progress(), 0)

    def as_update(self) -> tuple[Any, ...]:
        """What changed since it was first stored, for ``UPDATE_ATTEMPT``."""
        return (self.id, self.status, self.key, *self._progress())

    def _progress(self) -> tuple[Any, ...]:
        reply = self.reply
        return (
            self.sends,
            int(self.unknown),
            int(self.ever_unknown),
            int(self.burnt),
            maybe_micros(self.first_sent_at),
            maybe_micros(self.deadline),
            json.dumps({"looked": self.looked, "count": self.look_ups}) if self.look_ups else "{}",
            self.verdict,
            reply.status if reply else None,
            json.dumps(reply.headers) if reply else None,
            reply.body if reply else None,
            reply.source if reply else None,
        )


def dump_step(step: Request | Call) -> bytes:
    """A step as JSON, the request's body apart and its sample left out. Raises ContractViolation when it can't be stored."""
    form: Any = type(step)
    try:
        return wire.adapter(form).dump_json(step, exclude={"body", "sample"}, exclude_none=True)
    except Exception as error:
        raise ContractViolation(
            f"Step {step.step!r} can't be stored as JSON: {error}. Use JSON values only."
        ) from error


def load_step(data: bytes, body: bytes) -> Request | Call:
    """The step that ``dump_step`` wrote."""
    step: Request | Call = wire.adapter(Step).validate_json(data)
    return replace(step, body=body) if isinstance(step, Request) else step


def read_attempts(tx: Transaction, operation_ids: list[str]) -> dict[str, list[Attempt]]:
    """The journals of operations, each in order."""
    found: dict[str, list[Attempt]] = {id: [] for id in operation_ids}
    for row in tx.select_in(schema.attempt, COLUMNS, "operation_id", operation_ids):
        attempt = thaw_attempt(dict(zip(COLUMNS, row, strict=True)))
        found[attempt.operation_id].append(attempt)
    for attempts in found.values():
        attempts.sort(key=lambda attempt: attempt.ordinal)
    return found


def thaw_attempt(row: dict[str, Any]) -> Attempt:
    """The attempt that ``as_tuple`` wrote, from its columns."""
    looked = json.loads(row["looked"])
    return Attempt(
        id=row["id"],
        operation_id=row["operation_id"],
        ordinal=row["ordinal"],
        step=load_step(_unpacked(row, "request"), _unpacked(row, "body")),
        key=row["key"],
        status=row["status"],
        sends=row["sends"],
        unknown=bool(row["unknown"]),
        ever_unknown=bool(row["ever_unknown"]),
        burnt=bool(row["burnt"]),
        first_sent_at=maybe_from_micros(row["first_sent_at"]),
        deadline=maybe_from_micros(row["deadline"]),
        looked={int(place): found for place, found in looked.get("looked", {}).items()},
        look_ups=looked.get("count", 0),
        verdict=row["verdict"],
        reply=_reply(row),
        stored=True,
        changed=False,
    )


def _reply(row: dict[str, Any]) -> Reply | None:
    if row["reply_status"] is None:
        return None
    headers = tuple((name, value) for name, value in json.loads(row["reply_headers"]))
    return Reply(row["reply_status"], headers, _unpacked(row, "reply_body"), row["reply_source"])


def _unpacked(row: dict[str, Any], column: str) -> bytes:
    data: bytes = row[column] or b""
    return zlib.decompress(data) if row["packed"] and data else data


def append_late_reply(tx: Transaction, id: str, attempt_id: str, reply: Reply, at: datetime) -> None:
    """Keep an answer that came after somebody else had settled the step. It changes no state."""
    row = {"id": id, "attempt_id": attempt_id, "received_at": to_micros(at), "status": reply.status, "body": reply.body}
    tx.execute(sa.insert(schema.late_reply).values(**row))

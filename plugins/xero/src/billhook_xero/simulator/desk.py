"""What the desks share: how a request is put to them, how lists are filtered and paged, how batches are answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from billhook.testing.simulator import SimReply, SimRequest, TurnedDown
from billhook_xero.simulator.ledger import Ledger
from billhook_xero.simulator.rules import Org
from billhook_xero.simulator.wire import NOBODY, BadQuery, Invalid, Json, answered, errors, refused

_TERM = re.compile(r'(\w+)=="([^"]*)"')
_DEFAULT_PAGE = 100
_LONGEST_QUERY = 2_000


@dataclass(frozen=True, slots=True)
class Ask:
    """A request that was let in, for one organisation."""

    request: SimRequest
    now: datetime
    body: Any
    org: Org
    path: Mapping[str, str]

    def items(self, name: str) -> list[Json]:
        """The list of that name in the body; one object stands for a list of one, as at the real one."""
        found = self.body.get(name) if isinstance(self.body, dict) else None
        if found is None and isinstance(self.body, dict) and self.body:
            return [self.body]
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise BadQuery(f"The body holds no list of {name}")
        return found

    @property
    def unit_decimals(self) -> int:
        """Of unit amounts: two, unless four were asked for on this very request."""
        return 4 if self.request.param("unitdp") == "4" else 2

    @property
    def summarizes_errors(self) -> bool:
        """Whether one refused item refuses them all."""
        return (self.request.param("summarizeErrors") or "true").lower() != "false"


Handler = Callable[[Ask], SimReply]
Route = tuple[str, str, Handler]


def answer_list(
    ask: Ask, ledger: Ledger, kind: str, name: str, columns: Mapping[str, str], show: Callable[[Json], Json]
) -> SimReply:
    """A page of a list. `columns` says by which of the ledger's columns a field of `where` is looked up."""
    if sum(len(value) for _, value in ask.request.query) > _LONGEST_QUERY:
        # About 52 ids fit an address (github XeroAPI/Xero-Java, pull request 331).
        return refused(414, 414, "RequestUriTooLong", "The request URI is too long")
    found = _filtered(ask, ledger, kind, columns)
    page, size = int(ask.request.param("page") or 1), int(ask.request.param("pageSize") or _DEFAULT_PAGE)
    if not 1 <= size <= 1000:
        raise BadQuery(f"pageSize {size} is not between 1 and 1000")
    shown = found[(page - 1) * size : page * size]
    told: Json = {"pagination": _pagination(page, size, len(found))} if ask.request.param("page") else {}
    return answered({**told, name: [show(each) for each in shown]})


def _pagination(page: int, size: int, count: int) -> Json:
    return {"page": page, "pageSize": size, "pageCount": -(-count // size), "itemCount": count}


def _filtered(ask: Ask, ledger: Ledger, kind: str, columns: Mapping[str, str]) -> list[Json]:
    chosen = {
        column: value.split(",")
        for param, column in (("IDs", "id"), ("InvoiceNumbers", "name"), ("Statuses", "status"))
        if (value := ask.request.param(param))
    }
    where = ask.request.param("where")
    if where:
        chosen |= _read_where(where, columns)
    found: list[Json] | None = None
    for column, values in chosen.items():
        matching = ledger.where(ask.org.tenant, kind, column, [_key(column, kind, value) for value in values])
        found = matching if found is None else [each for each in found if each in matching]
    return ledger.all(ask.org.tenant, kind) if found is None else found


def _key(column: str, kind: str, value: str) -> str:
    return value.casefold() if column == "name" and kind == "contact" else value


def _read_where(where: str, columns: Mapping[str, str]) -> dict[str, list[str]]:
    """`Field=="a" OR Field=="b"`: what this Xero understands of the real one's filters."""
    terms = [_TERM.fullmatch(term.strip()) for term in where.split(" OR ")]
    fields = {term[1] for term in terms if term}
    if not all(terms) or len(fields) != 1 or not fields <= columns.keys():
        raise BadQuery(f"The where clause {where!r} can't be read")
    return {columns[fields.pop()]: [term[2] for term in terms if term]}


def answer_items(
    ask: Ask,
    ledger: Ledger,
    name: str,
    id_name: str,
    do: Callable[[Json], Json],
    *,
    has_errors: str = "HasErrors",
) -> SimReply:
    """Each item by itself. Where errors are summarized one refusal undoes them all (spec, parameter summarizeErrors)."""
    told = ask.items(name)
    try:
        with ledger.transaction():
            answers = [_answer_item(ledger, each, id_name, do, has_errors) for each in told]
            if ask.summarizes_errors:
                _refuse_together(answers)
    except _Summarized as refusal:
        return refused(400, 10, "ValidationException", "A validation exception occurred", refusal.elements)
    return answered({name: answers})


class _Summarized(Exception):
    """One item was refused, so all are."""

    def __init__(self, elements: Sequence[Json]) -> None:
        super().__init__("refused together")
        self.elements = elements


def _refuse_together(answers: Sequence[Json]) -> None:
    elements = [each for each in answers if each["StatusAttributeString"] == "ERROR"]
    if elements:
        raise _Summarized(elements)


def _answer_item(ledger: Ledger, told: Json, id_name: str, do: Callable[[Json], Json], has_errors: str) -> Json:
    try:
        with ledger.transaction():
            done = do(told)
    except (Invalid, TurnedDown) as refusal:
        messages = refusal.messages if isinstance(refusal, Invalid) else (str(refusal),)
        echoed = {id_name: told.get(id_name) or NOBODY, **told}
        return {
            **echoed,
            has_errors: True,
            "StatusAttributeString": "ERROR",
            "ValidationErrors": errors(messages),
        }
    return {**done, has_errors: False, "StatusAttributeString": "OK"}


def refuse_locked(org: Org, on: date | None, what: str = "document date") -> None:
    """Nothing is posted in a closed period (spec, Organisation.PeriodLockDate and EndOfYearLockDate)."""
    until = org.locked_until
    if until is not None and on is not None and on <= until:
        raise Invalid(f"The {what} cannot be before the period lock date ({until.isoformat()})")


def refuse_all(messages: Sequence[str]) -> None:
    """Refuse, if there is a reason."""
    if messages:
        raise Invalid(*messages)

"""A shop with a real engine in it, and a small outside world that does exactly what a test says.

``Books`` is the world: an in-process ledger that keeps whatever it is sent, so that a second copy shows. ``Wire`` carries requests to it and
loses, delays or refuses them as planned. ``a_provider`` makes a provider class of generator functions written in the test.
"""

from __future__ import annotations

import itertools
import json
import shutil
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, SecretStr

from billhook.clock import TurnedClock
from billhook.contract import (
    Absent,
    Batch,
    Capability,
    CredentialsResult,
    Declaration,
    DocumentResult,
    Done,
    Find,
    Found,
    Full,
    InstallMethod,
    Key,
    MoneyRules,
    NumberRules,
    OperationRules,
    Outgoing,
    Provider,
    RateLimit,
    Rejected,
    Repeat,
    Reply,
    Request,
    RequestsAtOnce,
    encode_json,
    hookimpl,
    registered,
)
from billhook.engine.context import Policy
from billhook.engine.effects import Arrived, Lost, NotSent, Transmission
from billhook.engine.engine import Engine
from billhook.engine.namespace import Namespace
from billhook.engine.queries import InvoiceDetails
from billhook.engine.records import App, BillingProfile
from billhook.faults import NO_FAULTS, Crash
from billhook.plugins.catalog import ProviderCatalog
from billhook.store import schema
from billhook.testing.builders import CREDENTIAL_KEYS, a_supplier

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
KEY = "idempotency-key"
ROUNDS = 400


# The outside world.


@dataclass
class Books:
    """A ledger that keeps everything it is sent, twice if it is sent twice under different keys."""

    clock: TurnedClock
    honours_keys_for: timedelta = timedelta(hours=24)
    documents: list[tuple[str, str]] = field(default_factory=list)
    """(our reference, id there), in the order in which they were made."""
    issued: list[str] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    omits: set[str] = field(default_factory=set)
    _answers: dict[str, tuple[datetime, Reply]] = field(default_factory=dict)

    @property
    def references(self) -> list[str]:
        """The references of all documents."""
        return [reference for reference, _ in self.documents]

    def serve(self, request: Outgoing, at: datetime | None = None) -> Reply:
        """Do what is asked; under a key that is still honoured, answer as before."""
        at = at or self.clock.now()
        key = dict(request.headers).get(KEY)
        kept = self._answers.get(key) if key else None
        if kept is not None and at < kept[0] + self.honours_keys_for:
            return kept[1]
        reply = self._do(request)
        if key and request.method != "GET":
            self._answers[key] = (at, reply)
        return reply

    def _do(self, request: Outgoing) -> Reply:
        path, _, query = request.url.removeprefix("http://books").partition("?")
        if request.method == "GET":
            return self._found(query.removeprefix("refs=").split(","), path.strip("/").partition("/")[2])
        asked = json.loads(request.body)
        made = [self._make(reference, path) for reference in asked["refs"]]
        return Reply.of({"items": list(reversed([item for item in made if item["ref"] not in self.omits]))})

    def _make(self, reference: str, path: str) -> dict[str, str]:
        if reference in self.refuses:
            return {"ref": reference, "error": "refused"}
        identity = f"{path.strip('/')}-{len(self.documents) + 1}"
        self.documents.append((reference, identity))
        return {"ref": reference, "id": identity}

    def _found(self, references: Sequence[str], kind: str) -> Reply:
        known = {reference: made for reference, made in reversed(self.documents) if made.startswith(kind)}
        return Reply.of({"items": [{"ref": ref, "id": known[ref]} for ref in references if ref in known]})

    def store(self, request: Outgoing, reply: Reply) -> None:
        """Answer like this whenever the request's key is seen again."""
        key = dict(request.headers).get(KEY)
        if key:
            self._answers[key] = (self.clock.now(), reply)


Behaviour = Callable[["Wire", Outgoing], Transmission]


def lost_before(wire: Wire, request: Outgoing) -> Transmission:
    """It never arrives, and nobody can tell."""
    return Lost("the connection broke")


def lost_after(wire: Wire, request: Outgoing) -> Transmission:
    """It is done, and the answer is lost."""
    wire.books.serve(request)
    return Lost("the connection broke")


def not_sent(wire: Wire, request: Outgoing) -> Transmission:
    """No connection."""
    return NotSent("connection refused")


def late(wire: Wire, request: Outgoing) -> Transmission:
    """It is under way, and arrives when the test says so."""
    wire.under_way.append(request)
    return Lost("no answer in time")


def late_by(seconds: int) -> Behaviour:
    """It arrives so much later; nobody waits for its answer."""

    def answer(wire: Wire, request: Outgoing) -> Transmission:
        wire.arriving.append((wire.clock.now() + timedelta(seconds=seconds), request))
        return Lost("no answer in time")

    return answer


def answers(status: int, body: Any = None, **headers: str) -> Behaviour:
    """This answer, and nothing done."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())

    def answer(wire: Wire, request: Outgoing) -> Transmission:
        content = body if isinstance(body, bytes) else encode_json({} if body is None else body)
        return Arrived(Reply(status, (("content-type", "application/json"), *pairs), content))

    return answer


def stored_error(status: int) -> Behaviour:
    """Done before the error, or not: the provider says this now and under the same key for ever."""

    def answer(wire: Wire, request: Outgoing) -> Transmission:
        reply = Reply(status, (("content-type", "application/json"),), b"{}")
        wire.books.store(request, reply)
        return Arrived(reply)

    return answer


def done_then(status: int, body: bytes = b"{}") -> Behaviour:
    """It is done, and the answer is this."""

    def answer(wire: Wire, request: Outgoing) -> Transmission:
        wire.books.serve(request)
        return Arrived(Reply(status, (("content-type", "application/json"),), body))

    return answer


def arrives(wire: Wire, request: Outgoing) -> Transmission:
    """As it should be."""
    return Arrived(wire.books.serve(request))


@dataclass
class Wire:
    """The transport: what the plan says for the next request, else what the books answer."""

    books: Books
    clock: TurnedClock
    sent: list[Outgoing] = field(default_factory=list)
    sent_at: list[datetime] = field(default_factory=list)
    under_way: list[Outgoing] = field(default_factory=list)
    arriving: list[tuple[datetime, Outgoing]] = field(default_factory=list)
    seconds_per_call: int = 0
    before_each: Callable[[Outgoing], None] | None = None
    otherwise: Behaviour = arrives
    _plan: deque[tuple[str, Behaviour]] = field(default_factory=deque)

    def plan(self, *behaviours: Behaviour, to: str = "") -> None:
        """What becomes of the next requests (of those whose address contains ``to``)."""
        self._plan.extend((to, behaviour) for behaviour in behaviours)

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        self.let_arrive()
        self.sent.append(request)
        self.sent_at.append(self.clock.now())
        if self.before_each is not None:
            self.before_each(request)
        if self.seconds_per_call:
            self.clock.advance(timedelta(seconds=self.seconds_per_call))
        return self._behaviour(request)(self, request)

    def _behaviour(self, request: Outgoing) -> Behaviour:
        for place, (to, behaviour) in enumerate(self._plan):
            if to in request.url:
                del self._plan[place]
                return behaviour
        return self.otherwise

    def let_arrive(self) -> None:
        """What was late is there by now."""
        due = [(at, request) for at, request in self.arriving if at <= self.clock.now()]
        self.arriving = [each for each in self.arriving if each not in due]
        for at, request in due:
            self.books.serve(request, at)

    def let_land(self) -> None:
        """What was under way arrives now."""
        waiting, self.under_way = self.under_way, []
        for request in waiting:
            self.books.serve(request)

    def close(self) -> None:
        """Nothing is open."""

    def to(self, part: str) -> list[Outgoing]:
        """What was sent to addresses that contain it."""
        return [request for request in self.sent if part in request.url]

    def keys(self, part: str = "") -> list[str | None]:
        """The idempotency keys of what was sent there."""
        return [dict(request.headers).get(KEY) for request in self.to(part)]


# Providers.


class BooksSettings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    ledger: str = "main"


class BooksToken(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    token: SecretStr


class BooksBase(Provider[BooksSettings]):
    """What the providers of these tests share: functions that requests may name."""

    @registered
    def match(self, reply: Reply, ids: Sequence[str]) -> Mapping[str, Any]:
        known = {item["ref"]: item for item in reply.json()["items"]}
        return {id: Found(Reply.of({"items": [known[id]]})) if id in known else Absent() for id in ids}

    @registered
    def made(self, reply: Reply) -> Mapping[str, str]:
        return {item["ref"]: item["id"] for item in reply.json()["items"] if "id" in item}


def put(step: str, batch: Batch[Any, Any], path: str = "drafts", **changes: Any) -> Request:
    """A request that makes a document for each item."""
    ids = [item.id for item in batch.items]
    usual: dict[str, Any] = {
        "step": step,
        "method": "POST",
        "url": f"http://books/{path}",
        "headers": (("content-type", "application/json"),),
        "body": encode_json({"refs": ids}),
        "key": Key(KEY),
    }
    return Request(**{**usual, **changes})


def look_up(
    provider: Provider[Any], batch: Batch[Any, Any], kind: str = "", *, authoritative: bool = True, after: int = 0
) -> Find:
    """The look-up for all items of a batch, among the documents of one kind or of all."""
    ids = [item.id for item in batch.items]
    request = Request("look", "GET", f"http://books/found{kind and '/' + kind}?refs=" + ",".join(ids))
    return Find(request, provider.function("match", ids=ids), authoritative, timedelta(seconds=after))


def repeat(seconds: int = 3600) -> Repeat:
    """Under the same key, for so long."""
    return Repeat(timedelta(seconds=seconds))


def documents(batch: Batch[Any, Any], reply: Reply) -> dict[str, Any]:
    """The outcome of each item, by our reference."""
    outcomes: dict[str, Any] = {}
    for item in reply.json()["items"]:
        if "error" in item:
            outcomes[item["ref"]] = Rejected.because("refused", "The books refuse it.")
        else:
            outcomes[item["ref"]] = Done(DocumentResult(external_id=item["id"]))
    return outcomes


def plain_draft(self: Any, batch: Batch[Any, Any]) -> Any:
    """One request, nothing declared for a lost answer."""
    reply = yield put("put", batch)
    return documents(batch, reply)


def careful_draft(self: Any, batch: Batch[Any, Any]) -> Any:
    """One request that can be repeated and looked up."""
    reply = yield put("put", batch, recover=(repeat(), look_up(self, batch)))
    return documents(batch, reply)


def issue_at_once(self: Any, batch: Batch[Any, Any]) -> Any:
    """A local issue: nothing is sent."""
    return {item.id: Done(DocumentResult()) for item in batch.items}


def a_provider(
    type: str = "books",
    *,
    rules: Mapping[str, OperationRules] | None = None,
    limits: Sequence[RateLimit] = (),
    at_once: Sequence[RequestsAtOnce] = (),
    credentials: bool = False,
    members: Mapping[str, Any] | None = None,
    settings: type[BaseModel] = BooksSettings,
    numbers: NumberRules | None = None,
    money: MoneyRules | None = None,
    **hooks: Callable[..., Any],
) -> Any:
    """A provider class of these hooks. Without an ``issue`` of its own it issues at once."""
    operations = {Capability(name): rule for name, rule in (rules or {}).items()}
    if "issue" not in hooks:
        hooks["issue"] = issue_at_once
        operations[Capability.ISSUE] = OperationRules(batch=50, local=True)
    names = {capability.value for capability in Capability}
    declaration = Declaration(
        type=type,
        name=type.title(),
        description="Keeps what it is sent.",
        capabilities={Capability(name): Full() for name in hooks if name in names},
        operations=operations,
        limits=tuple(limits),
        at_once=tuple(at_once),
        settings=settings,
        credentials=BooksToken if credentials else None,
        install_methods=(InstallMethod.API_KEY if credentials else InstallMethod.NO_CREDENTIALS,),
        numbers=numbers or NumberRules(),
        money=money or MoneyRules(),
    )
    marked = {name: hookimpl(hook) for name, hook in hooks.items()}
    return _new_class(type, {"declaration": declaration, **marked, **(members or {})})


def _new_class(name: str, members: dict[str, Any]) -> Any:
    return type(f"{name.title()}Provider", (BooksBase,), members)


def bearer(self: Any, request: Outgoing, credentials: Any, now: datetime) -> Outgoing:
    """The token, when sending."""
    return request.with_headers(("authorization", f"Bearer {credentials.token.get_secret_value()}"))


def fresh_token(self: Any, batch: Batch[Any, Any]) -> Any:
    """A new token for the old one."""
    reply = yield Request("refresh", "POST", "http://books/token")
    token = reply.json().get("token")
    if token is None:
        return {batch.only.id: Rejected.because("grant_revoked", "The grant was revoked.")}
    return {batch.only.id: Done(CredentialsResult({"token": token}))}


# The shop.


class FaultsAt:
    """Crashes at the n-th visit of a point, once. ``acts`` are done when a point is reached."""

    def __init__(self, point: str | None = None, visit: int = 1) -> None:
        self.point = point
        self.left = visit
        self.acts: dict[str, Callable[[], None]] = {}

    def reach(self, point: str) -> None:
        if point in self.acts:
            self.acts[point]()
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                raise Crash(point)


_dice = itertools.count(1)


def dice(length: int) -> bytes:
    """Bytes that are never the same twice, without jitter in the first two."""
    return next(_dice).to_bytes(max(length, 16))[-length:] if length > 2 else b"\0" * length


COUNTS = sa.select(
    *(
        sa.select(sa.func.count()).select_from(table).scalar_subquery().label(table.name)
        for table in schema.metadata.sorted_tables
    )
)
"""How many rows each table has, asked at once."""


@dataclass
class Shop:
    """An engine on a database of its own, with one app, one default profile, one customer: ready to invoice."""

    url: str
    clock: TurnedClock
    books: Books
    wire: Wire
    engine: Engine
    options: dict[str, Any]
    providers: list[Any]
    namespace: str = "acme"
    _keys: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def ns(self) -> Namespace:
        return self.engine.namespace(self.namespace)

    @property
    def app(self) -> App:
        """The first app."""
        return self.ns.apps.list().items[0]

    def an_app(self, type: str = "books", **changes: Any) -> App:
        needs = self.engine.catalog.load(type).declaration.credentials is not None
        return self.ns.apps.install(type, **{**({"credentials": {"token": "old"}} if needs else {}), **changes})

    def a_profile(self, app: App, **changes: Any) -> BillingProfile:
        usual = {"supplier": a_supplier(), "tax_app_id": app.id, "invoicing_app_id": app.id, "payment_app_id": app.id}
        return self.ns.profiles.create(**{"name": "Usual", "is_default": True, **usual, **changes})

    def draft(self, **changes: Any) -> dict[str, Any]:
        """A draft of one line over 10.00 EUR."""
        line = {"name": "Work", "item_code": "W", "quantity": "1", "price": {"type": "unit", "amount": "10.00"}}
        return {"key": f"key-{next(self._keys)}", "customer_key": "jane", "currency": "EUR", "lines": [line], **changes}

    def submit(self, **changes: Any) -> str:
        """A submitted invoice's id."""
        return self.ns.invoices.submit(self.draft(**changes)).id

    def get(self, invoice_id: str) -> InvoiceDetails:
        return self.ns.invoices.get(invoice_id)

    def status(self, invoice_id: str) -> str:
        return self.get(invoice_id).status

    def run(self, at_most: int = ROUNDS) -> int:
        """Work until nothing is due now. Fails when that never comes."""
        rounds = self.engine.run_until_idle(at_most=at_most)
        assert rounds < at_most, f"still busy after {rounds} rounds"
        return rounds

    def turn(self, seconds: float) -> None:
        """Time passes, then whatever is due is done."""
        self.clock.advance(timedelta(seconds=seconds))
        self.run()

    def run_for(self, seconds: float) -> None:
        """Work at every time at which something is due, for so long."""
        until = self.clock.now() + timedelta(seconds=seconds)
        self.run()
        for _ in range(ROUNDS):
            due = self.engine.next_due()
            if due is None or due > until:
                self.clock.advance(until - self.clock.now())
                return
            self.clock.advance(max(due - self.clock.now(), timedelta(milliseconds=1)))
            self.run()
        raise AssertionError("something is due again and again")

    def restart(self, providers: Sequence[Any] | None = None, **options: Any) -> None:
        """Another process opens the database, with these providers."""
        self.engine.close()
        self.providers = list(providers or self.providers)
        self.options.update(options)
        self.engine = _open(self.url, self.clock, self.wire, self.providers, self.options)

    def crash(self, point: str, visit: int = 1, **options: Any) -> None:
        """Work until a crash there, and start again."""
        self.restart(faults=FaultsAt(point, visit))
        try:
            self.engine.run_until_idle(at_most=ROUNDS)
        except Crash:
            self.restart(faults=NO_FAULTS, **options)
            return
        raise AssertionError(f"{point} was not reached {visit} times")

    def rows(self, table: sa.Table, **where: Any) -> list[dict[str, Any]]:
        """The rows of a table where these columns have these values."""
        select = sa.select(table).where(*(table.c[name] == value for name, value in where.items()))
        with self.engine.database.read() as tx:
            return [dict(row._mapping) for row in tx.all(select)]

    def counts(self) -> dict[str, int]:
        """How many rows each table has."""
        with self.engine.database.read() as tx:
            counted = tx.first(COUNTS)
        assert counted is not None
        return dict(counted._mapping)

    def attempts(self) -> list[dict[str, Any]]:
        """The journal, in the order of operations and steps."""
        return sorted(self.rows(schema.attempt), key=lambda row: (row["operation_id"], row["ordinal"]))

    def operations(self, name: str | None = None) -> list[dict[str, Any]]:
        """The operations, the oldest first."""
        found = sorted(self.rows(schema.operation), key=lambda row: row["id"])
        return [row for row in found if name is None or row["name"] == name]

    def causes(self, invoice_id: str) -> list[str]:
        """Why an invoice changed, in order."""
        events = self.rows(schema.event, document_id=invoice_id)
        return [event["cause"] for event in sorted(events, key=lambda event: event["version"])]

    def issue_codes(self, invoice_id: str) -> list[str | None]:
        return [issue.code for issue in self.get(invoice_id).issues]

    def close(self) -> None:
        self.engine.close()


def open_shop(
    url: str, *providers: Any, ready: bool = True, workflow: Mapping[str, Any] | None = None, **options: Any
) -> Shop:
    """A shop on a database that has its tables. ``options`` are the engine's."""
    chosen = list(providers) or [a_provider(sync_draft=careful_draft)]
    clock = TurnedClock(NOON)
    books = Books(clock)
    wire = Wire(books, clock)
    given = {"policy": Policy(), "faults": NO_FAULTS, "randomness": dice, "credential_keys": CREDENTIAL_KEYS, **options}
    shop = Shop(url, clock, books, wire, _open(url, clock, wire, chosen, given), given, chosen)
    if ready:
        app = shop.an_app(chosen[0].declaration.type)
        shop.a_profile(app, **({"workflow": dict(workflow)} if workflow else {}))
        shop.ns.customers.create("Jane Doe", key="jane")
    return shop


def _open(url: str, clock: TurnedClock, wire: Wire, providers: Sequence[Any], options: Mapping[str, Any]) -> Engine:
    catalog = ProviderCatalog.from_objects(providers)
    return Engine.open(url, upgrade=False, clock=clock, catalog=catalog, transport=wire, **options)


def copy_of(template: Path, path: Path) -> str:
    """A database file of a test's own, with all tables."""
    shutil.copy(template, path)
    return str(path)


def euros(amount: str) -> Decimal:
    return Decimal(amount)


__all__ = [name for name in dir() if not name.startswith("_") and name != "annotations"]

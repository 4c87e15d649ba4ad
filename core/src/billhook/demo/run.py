"""The demo from beginning to end. Killed at any moment and started again on the same files, it goes on where it was."""

from __future__ import annotations

import os
import tempfile
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

from billhook.clock import SystemClock
from billhook.demo.cast import Cast, cast_of
from billhook.demo.live import Watch
from billhook.demo.online_retail import CURRENCY, Document, customers_of, read_documents
from billhook.demo.outside import Outside, ledgers_at, serving
from billhook.demo.result import DemoResult, RefusedDocument, read_books, total_in_engine
from billhook.demo.stage import prepare
from billhook.demo.standing import Standing, standing_of
from billhook.domain.invoice import DocumentType, InvoiceDraft
from billhook.domain.parsing import parse_draft
from billhook.domain.states import State
from billhook.engine.credential_keys import VARIABLE
from billhook.engine.engine import Engine
from billhook.engine.invoice_filter import InvoiceFilter
from billhook.engine.namespace import Namespace
from billhook.engine.wire_log import WireLog
from billhook.errors import Conflict, InvalidInput
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.simulator import Pairs

THREADS = 8
LOOK_SECONDS = 0.1
PATIENCE_SECONDS = 10.0
"""Nothing moved for this long, and nothing is due: nothing will."""
SOON = timedelta(minutes=1)
KNOWN_KEYS = (urlsafe_b64encode(b"the demo has no secrets to keep.").decode(),)


def run_demo(
    db: str | None,
    ledger: Path | None,
    watch: Watch,
    *,
    invoicing: str | None = None,
    payment: str | None = None,
    wire_log: WireLog | None = None,
) -> DemoResult:
    """Carry the day's documents to the providers' simulators and compare their books with ours.

    Without files it works on some that are thrown away. Raises Conflict for files that belong to something else, and InvalidInput for
    a provider that can't take part.
    """
    catalog = ProviderCatalog()
    cast = cast_of(catalog, invoicing, payment)
    documents = read_documents()
    drafts, refused = _drafts(documents)
    with _opened(db, ledger, catalog, cast, wire_log) as (engine, outside):
        billing = engine.namespace()
        customers = customers_of(documents)
        apps = prepare(billing, cast, customers, outside, watch.counter("customers", len(customers)))
        _submit(billing, drafts)
        standing = _work(engine, billing, outside, _payer(engine, billing, cast, apps[cast.payment].id, outside), watch)
        return DemoResult(
            cast=cast,
            documents=len(documents),
            accepted=len(drafts),
            refused=refused,
            engine_total=total_in_engine(billing),
            standing=standing,
            in_doubt=len(billing.doubts.list()),
            books=read_books(cast, outside),
        )


def _drafts(documents: Sequence[Document]) -> tuple[list[InvoiceDraft], tuple[RefusedDocument, ...]]:
    drafts: list[InvoiceDraft] = []
    refused: list[RefusedDocument] = []
    for document in documents:
        try:
            drafts.append(parse_draft(document.draft()))
        except InvalidInput as error:
            refused.append(RefusedDocument(document.number, error.code, error.message))
    return drafts, tuple(refused)


@contextmanager
def _opened(
    db: str | None, ledger: Path | None, catalog: ProviderCatalog, cast: Cast, wire_log: WireLog | None
) -> Iterator[tuple[Engine, Outside]]:
    with ExitStack() as stack:
        passing = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="billhook-demo-")))
        db = db or str(passing / "demo.db")
        ledger = ledger or _ledger_beside(db) or passing / "ledger.db"
        ledgers = ledgers_at(ledger, cast.simulated)
        for path in ledgers.values():
            _check_apart(db, path)
        outside = stack.enter_context(serving(ledgers, CURRENCY))
        engine = Engine.open(
            db,
            catalog=catalog,
            transport=outside.transport(),
            credential_keys=_keys_for(db),
            wire_log=wire_log,
        )
        stack.enter_context(engine)
        yield engine, outside


def _keys_for(db: str) -> Sequence[str]:
    """On a server, where nobody gave a key, a known one does: the demo's only secret is the sandbox's, which everybody knows."""
    return KNOWN_KEYS if "://" in db and not db.startswith("sqlite:///") and VARIABLE not in os.environ else ()


def _file_of(db: str) -> Path | None:
    """The database's file; None for one on a server."""
    if "://" in db and not db.startswith("sqlite:///"):
        return None
    return Path(db.removeprefix("sqlite:///"))


def _ledger_beside(db: str) -> Path | None:
    path = _file_of(db)
    return None if path is None else path.with_name(f"{path.stem}-ledger{path.suffix}")


def _check_apart(db: str, ledger: Path) -> None:
    """The provider's books are not the engine's."""
    path = _file_of(db)
    if path is None:
        return
    if path.resolve() == ledger.resolve() or (path.exists() and ledger.exists() and path.samefile(ledger)):
        raise Conflict(
            f"--db and --ledger are the same file, {ledger}. Nothing was written. Give each a file of its own.",
            "same_file",
        )


def _submit(billing: Namespace, drafts: Sequence[InvoiceDraft]) -> None:
    """Under their keys, so that what is there already stays as it is."""
    billing.invoices.submit_many([draft for draft in drafts if draft.type is DocumentType.STANDARD])
    billing.credit_notes.submit_many([draft for draft in drafts if draft.type is DocumentType.CREDIT_NOTE])


def _work(
    engine: Engine, billing: Namespace, outside: Outside, let_money_come: Callable[[], None], watch: Watch
) -> Standing:
    """Let a worker run until everything is settled, or nothing moves any more. Money comes when everything else is done."""
    has_stopped = _stillness(engine)
    with engine.worker(threads=THREADS) as worker:
        while True:
            standing, calls = standing_of(billing), outside.count_calls()
            watch.show(standing, calls)
            if standing.is_settled or has_stopped((standing, calls)) or not worker.is_alive:
                return standing
            if not standing.work_now:
                let_money_come()
            threading.Event().wait(LOOK_SECONDS)


def _payer(engine: Engine, billing: Namespace, cast: Cast, app_id: str, outside: Outside) -> Callable[[], None]:
    """How money comes that nobody can fetch: somebody notes what arrived at the bank, or the provider tells what it collected."""
    if cast.is_paid_by_hand:
        return lambda: _note_transfers(billing)

    def receive(headers: Pairs, body: bytes) -> int:
        engine.receive_webhook(app_id, dict(headers), body)
        return 200

    return lambda: outside.deliver(cast.payment, receive)


def _note_transfers(billing: Namespace) -> None:
    due = InvoiceFilter(statuses=(State.PAYMENT_PENDING.value,))
    for invoice in billing.invoices.list(due, page_size=1000).items:
        billing.invoices.record_payment(
            invoice.id, invoice.amount_due, method="bank transfer", key=f"transfer-{invoice.id}"
        )


def _stillness(engine: Engine) -> Callable[[object], bool]:
    """Tells whether what it is shown has not changed for long, while nothing is due soon."""
    clock = SystemClock()
    seen: object = None
    since_seconds = clock.monotonic()

    def has_stopped(shown: object) -> bool:
        nonlocal seen, since_seconds
        if shown != seen:
            seen, since_seconds = shown, clock.monotonic()
            return False
        if clock.monotonic() - since_seconds < PATIENCE_SECONDS:
            return False
        due = engine.next_due()
        if due is not None and due <= clock.now() + SOON:
            since_seconds = clock.monotonic()
            return False
        return True

    return has_stopped

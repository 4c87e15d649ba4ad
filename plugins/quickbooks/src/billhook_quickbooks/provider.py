"""QuickBooks Online as a provider. Invoices are posted when they are issued: QuickBooks has no drafts."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

from billhook.contract import (
    AuthorizationResult,
    Batch,
    Call,
    ConnectionItem,
    ConnectionResult,
    CredentialsResult,
    CreditNoteItem,
    CustomerItem,
    CustomerResult,
    DocumentResult,
    Done,
    InvoiceItem,
    InvoiceView,
    Line,
    MappedLine,
    NumberOwner,
    Outcomes,
    Outgoing,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    Refusal,
    Rejected,
    RemovalResult,
    Reply,
    Request,
    SendResult,
    Snapshot,
    Steps,
    ValidationIssue,
    Verdict,
    WebhookEvent,
    hookimpl,
    remote_id,
)
from billhook_quickbooks import company, encoding, oauth, preflight, reading
from billhook_quickbooks.config import QuickBooksCredentials, QuickBooksSettings
from billhook_quickbooks.declaration import DECLARATION, OWN_NUMBERS
from billhook_quickbooks.findings import is_void, rows_of
from billhook_quickbooks.names import Directory, plain_name, told_apart
from billhook_quickbooks.refusals import is_success, refusal, refused, verdict_of
from billhook_quickbooks.requests import (
    QuickBooksRequests,
    by_customers,
    by_ids,
    by_names,
    by_numbers,
    queries_request,
    query_request,
)
from billhook_quickbooks.webhooks import read_events

Numbered = TypeVar("Numbered", InvoiceItem, CreditNoteItem)
Read = Generator[Request | Call, Reply, Any]

PAYMENTS_A_QUERY = 100

_NOT_THERE = Rejected.because(
    "document_not_there", "The invoice does not stand in QuickBooks. Issue it there first, then retry."
)
_TAKES_NO_PAYMENT = Rejected.because(
    "document_not_there",
    "The invoice does not stand in QuickBooks any more, so it takes no payment there. Enter it there as a payment of the customer.",
)


class QuickBooksProvider(QuickBooksRequests):
    """Carries invoices to a company of QuickBooks Online, under Billhook's numbers."""

    declaration = DECLARATION

    # Customers and documents.

    @hookimpl
    def sync_customer(self, batch: Batch[CustomerItem, QuickBooksSettings]) -> Steps[CustomerResult]:
        """Create the new ones and change the others, once it is known which names are free."""
        reply = yield queries_request(batch, "names", _names_asked(batch.items))
        if not is_success(reply):
            return dict.fromkeys((item.id for item in batch.items), refused(reply))
        for fault in reading.faults_of(reply):
            return dict.fromkeys((item.id for item in batch.items), refusal(fault))
        directory = Directory([each for answer in reading.answers_of(reply).values() for each in _people(answer)])
        bodies = {
            item.id: encoding.customer_body(item, directory.name_for(item), directory.standing(item), batch.settings)
            for item in batch.items
        }
        look_up = by_names("Customer", [body["DisplayName"] for body in bodies.values()])
        known = [id for id, body in bodies.items() if "Id" in body]
        reply = yield self.batch_request(batch, "customers", "Customer", bodies, look_up, known)
        return reading.outcomes_of(reply, batch.items, "Customer", reading.read_customer)

    @hookimpl
    def issue(self, batch: Batch[InvoiceItem, QuickBooksSettings]) -> Steps[DocumentResult]:
        """Post the invoices in one call. What an earlier attempt left there is posted anew in its place, never a second time."""
        items = [self._numbered(item) for item in batch.items]
        standing = yield from _standing(batch, {id for item in batch.items if (id := remote_id(item)) is not None})
        if isinstance(standing, Reply):
            return dict.fromkeys((item.id for item in batch.items), refused(standing))
        bodies = {
            item.id: encoding.invoice_body(item, batch.settings, batch.now, standing.get(remote_id(item) or ""))
            for item in items
        }
        known = [id for id, body in bodies.items() if "Id" in body]
        look_up = _document_look_up("Invoice", bodies)
        reply = yield self.batch_request(batch, "invoices", "Invoice", bodies, look_up, known)
        return reading.outcomes_of(reply, items, "Invoice", reading.read_invoice)

    @hookimpl
    def credit(self, batch: Batch[CreditNoteItem, QuickBooksSettings]) -> Steps[DocumentResult]:
        """Post a credit memo, then put it against its invoice as far as that has something open."""
        item = self._numbered(batch.only)
        reply = yield self._credit_memo(batch, item)
        if not is_success(reply):
            return {item.id: refused(reply)}
        memo = reply.json()["CreditMemo"]
        outcome = reading.read_credit_memo(item, memo)
        if item.applies_to is None or isinstance(outcome, Rejected):
            return {item.id: outcome}
        reply = yield query_request(batch, "invoice", by_ids("Invoice", [item.applies_to]), _open_sample(item))
        if not is_success(reply):
            return {item.id: refused(reply)}
        amount = _applicable(memo, rows_of(reply, "Invoice"))
        if amount > 0:
            reply = yield self._application(batch, memo["Id"], amount)
        return {item.id: outcome if is_success(reply) else _left_behind(reply, memo["Id"])}

    @hookimpl
    def send(self, batch: Batch[InvoiceItem, QuickBooksSettings]) -> Steps[SendResult]:
        """Have QuickBooks e-mail a posted invoice."""
        item, known, email = batch.only, remote_id(batch.only), batch.only.invoice.customer.email
        if known is None:
            return {item.id: _NOT_THERE}
        if not email:
            message = f"{item.invoice.customer.name} has no e-mail address. Add one, then retry."
            return {item.id: Rejected.because("customer_email_missing", message, path="/customer/email")}
        reply = yield self.send_request(batch, known, email)
        return {item.id: reading.read_sent(reply, batch.now)}

    @hookimpl
    def void(self, batch: Batch[InvoiceItem, QuickBooksSettings]) -> Steps[RemovalResult]:
        """Make a posted invoice void: its amounts become nothing, its number stays."""
        return (yield from self._removed(batch, "void"))

    @hookimpl
    def delete(self, batch: Batch[InvoiceItem, QuickBooksSettings]) -> Steps[RemovalResult]:
        """Remove what a refused attempt left there; nothing to do where it never stood."""
        return (yield from self._removed(batch, "delete"))

    @hookimpl
    def fetch(self, batch: Batch[InvoiceItem, QuickBooksSettings]) -> Steps[Snapshot]:
        """What the company holds, and the money that its payments brought."""
        known = {item.id: id for item in batch.items if (id := remote_id(item)) is not None}
        standing = yield from _standing(batch, set(known.values()))
        if isinstance(standing, Reply):
            return dict.fromkeys((item.id for item in batch.items), refused(standing))
        payments = yield from _payments(batch, reading.linked_payments(standing.values()))
        if isinstance(payments, Reply):
            return dict.fromkeys((item.id for item in batch.items), refused(payments))
        entities = ((item, standing.get(known.get(item.id, ""))) for item in batch.items)
        return {item.id: reading.read_snapshot(item.invoice, entity, payments) for item, entity in entities}

    # Money.

    @hookimpl
    def record_payment(self, batch: Batch[PaymentItem, QuickBooksSettings]) -> Steps[PaymentResult]:
        """Record payments on their invoices, each as far as its invoice has something open."""
        left = {item.id: id for item in batch.items if (id := item.leftovers.get("payments")) is not None}
        recorded = yield from _recorded(batch, [item for item in batch.items if item.id in left], left)
        waiting = [item for item in batch.items if item.id not in left]
        standing = yield from _standing(
            batch, {item.invoice_external_id for item in waiting if item.invoice_external_id}
        )
        if isinstance(standing, Reply):
            return {**dict.fromkeys((item.id for item in waiting), refused(standing)), **recorded}
        there = [item for item in waiting if item.invoice_external_id in standing]
        missing = {item.id: _TAKES_NO_PAYMENT for item in waiting if item not in there}
        if not there:
            return {**recorded, **missing}
        bodies = _payment_bodies(batch, there, standing)
        reply = yield self.batch_request(batch, "payments", "Payment", bodies, _document_look_up("Payment", bodies))
        return {**reading.outcomes_of(reply, there, "Payment", reading.read_payment), **recorded, **missing}

    # Connection.

    @hookimpl
    def check_connection(self, batch: Batch[ConnectionItem, QuickBooksSettings]) -> Steps[ConnectionResult]:
        """Show that the token is let in, and that the company is as the settings say."""
        reply = yield queries_request(batch, "company", company.queries(batch.settings))
        return {batch.only.id: company.read_company(reply, batch.settings, self.declaration.numbers.owner)}

    @hookimpl
    def list_accounts(self, batch: Batch[ConnectionItem, QuickBooksSettings]) -> Steps[ConnectionResult]:
        """The one company that was granted."""
        granted = oauth.for_granted_company(batch)
        reply = yield queries_request(granted, "company", {"company": "select * from CompanyInfo"})
        return {batch.only.id: company.read_company(reply, granted.settings, self.declaration.numbers.owner)}

    @hookimpl
    def authorize_url(self, batch: Batch[ConnectionItem, QuickBooksSettings]) -> Outcomes[AuthorizationResult]:
        """Where a person grants access to the company."""
        return {batch.only.id: Done(AuthorizationResult(oauth.authorization_url(batch)))}

    @hookimpl
    def exchange_code(self, batch: Batch[ConnectionItem, QuickBooksSettings]) -> Steps[CredentialsResult]:
        """Tokens for the code that came back."""
        other = oauth.other_company(batch)
        if other is not None:
            return {batch.only.id: other}
        reply = yield oauth.code_request(batch)
        return {batch.only.id: oauth.read_tokens(reply, batch.now)}

    @hookimpl
    def refresh_credentials(self, batch: Batch[ConnectionItem, QuickBooksSettings]) -> Steps[CredentialsResult]:
        """New tokens for old."""
        reply = yield oauth.refresh_request(batch)
        return {batch.only.id: oauth.read_tokens(reply, batch.now)}

    # Pure hooks.

    @hookimpl
    def map_line(self, line: Line, invoice: InvoiceView, settings: QuickBooksSettings) -> MappedLine:
        """By the app's items and tax codes."""
        listed = settings.items.get(line.item_code or "")
        return MappedLine(
            line_id=line.id,
            description=line.name,
            rule="the app's items" if listed else "the app's default item",
            item_code=listed or settings.default_item,
            tax_code=encoding.tax_code_of(line, invoice, settings),
        )

    @hookimpl
    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: QuickBooksSettings
    ) -> Sequence[ValidationIssue]:
        """What QuickBooks would refuse."""
        return preflight.issues_of(invoice, lines, settings)

    # Reading.

    @hookimpl
    def classify(self, request: Request | Call, reply: Reply) -> Verdict:
        """By status and by the fault that a body carries, whatever its status."""
        return verdict_of(request, reply)

    @hookimpl
    def authenticate(self, request: Outgoing, credentials: QuickBooksCredentials, now: datetime) -> Outgoing:
        """With the access token, or at the token endpoint with the client's secret."""
        return oauth.signed(request, credentials)

    @hookimpl
    def read_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,
        secrets: QuickBooksCredentials | None,
        now: datetime,
        settings: QuickBooksSettings,
    ) -> Sequence[WebhookEvent] | Refusal:
        """The company's events, once the signature is checked."""
        token = secrets.verifier_token if secrets is not None else None
        return read_events(headers, body, token.get_secret_value() if token is not None else None, settings.account)

    # Steps.

    def _numbered(self, item: Numbered) -> Numbered:
        """The item with the number that it is to have there. Where the company gives it, ours is only a draft's."""
        return item if self.declaration.numbers.owner is NumberOwner.ENGINE else replace(item, number=None)

    def _credit_memo(self, batch: Batch[CreditNoteItem, QuickBooksSettings], item: CreditNoteItem) -> Request:
        known = remote_id(item)
        if known is not None:
            return self.read_request(batch, "credit_memo", "CreditMemo", known, item.credit_note.total)
        body = encoding.credit_memo_body(item, batch.settings, batch.now)
        look_up = _document_look_up("CreditMemo", {item.id: body})
        return self.create_request(batch, "credit_memo", "CreditMemo", body, look_up, identify=True)

    def _application(self, batch: Batch[CreditNoteItem, QuickBooksSettings], memo_id: str, amount: Decimal) -> Request:
        body = encoding.application_body(batch.only, memo_id, amount, batch.settings, batch.now)
        look_up = _document_look_up("Payment", {batch.only.id: body})
        return self.create_request(batch, "apply", "Payment", body, look_up, identify=False)

    def _removed(self, batch: Batch[InvoiceItem, QuickBooksSettings], done: str) -> Steps[RemovalResult]:
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return {item.id: Done(RemovalResult())}
        standing = yield from _standing(batch, {known})
        if isinstance(standing, Reply):
            return {item.id: refused(standing)}
        invoice = standing.get(known)
        if invoice is None or (done == "void" and is_void(invoice)):
            return {item.id: Done(RemovalResult(known))}
        reply = yield self.move_request(batch, done, known, invoice["SyncToken"])
        return {item.id: reading.read_removal(reply, known)}


class QuickBooksOwnNumbersProvider(QuickBooksProvider):
    """The same, for a company that gives its own numbers."""

    declaration = OWN_NUMBERS


def _names_asked(items: Sequence[CustomerItem]) -> dict[str, str]:
    """The queries that show who has the names that are wanted, and how our customers stand."""
    names = [name for item in items for name in (plain_name(item), told_apart(item))]
    asked = {kind: by_names(kind, names) for kind in ("Customer", "Vendor", "Employee")}
    known = [id for item in items if (id := remote_id(item)) is not None]
    return {**asked, "known": by_ids("Customer", known)} if known else asked


def _people(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The rows of an answer. Vendors and employees only take names: they are told from customers by having no version here."""
    customers = list(answer.get("Customer", ()))
    others = [*answer.get("Vendor", ()), *answer.get("Employee", ())]
    return customers + [{"Id": f"other {each['Id']}", "DisplayName": each.get("DisplayName")} for each in others]


def _standing(batch: Batch[Any, QuickBooksSettings], ids: set[str]) -> Read:
    """The invoices of these ids as they stand, by id; nothing is asked for none. A Reply where they can't be read."""
    if not ids:
        return {}
    wanted = sorted(ids)
    sample = {"Invoice": [{"Id": id, "SyncToken": "0"} for id in wanted]}
    reply = yield query_request(batch, "standing", by_ids("Invoice", wanted), sample)
    return {each["Id"]: each for each in rows_of(reply, "Invoice")} if is_success(reply) else reply


def _payments(batch: Batch[Any, QuickBooksSettings], ids: Sequence[str]) -> Read:
    """The payments of these ids, some at a time. A Reply where they can't be read."""
    found: list[dict[str, Any]] = []
    for start in range(0, len(ids), PAYMENTS_A_QUERY):
        step = f"payments.{start // PAYMENTS_A_QUERY + 1}"
        reply = yield query_request(batch, step, by_ids("Payment", ids[start : start + PAYMENTS_A_QUERY]))
        if not is_success(reply):
            return reply
        found += rows_of(reply, "Payment")
    return found


def _recorded(
    batch: Batch[Any, QuickBooksSettings], items: Sequence[PaymentItem], ids: Mapping[str, str]
) -> Steps[PaymentResult]:
    """The outcomes of payments that were recorded before, under these ids. What somebody took out again since is recorded all the same."""
    found = yield from _payments(batch, sorted(ids.values()))
    if isinstance(found, Reply):
        return {item.id: refused(found) for item in items}
    standing = {each["Id"]: each for each in found}
    return {
        item.id: reading.read_payment(item, standing[ids[item.id]])
        if ids[item.id] in standing
        else Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, ids[item.id]))
        for item in items
    }


def _document_look_up(kind: str, bodies: Mapping[str, Mapping[str, Any]]) -> str:
    """By number where each has one, else by customer and day."""
    numbers = [body.get("DocNumber") for body in bodies.values()]
    if all(numbers):
        return by_numbers(kind, [str(number) for number in numbers])
    customers = [body["CustomerRef"]["value"] for body in bodies.values()]
    return by_customers(kind, customers, [body["TxnDate"] for body in bodies.values()])


def _payment_bodies(
    batch: Batch[Any, QuickBooksSettings], items: Sequence[PaymentItem], standing: Mapping[str, Mapping[str, Any]]
) -> dict[str, encoding.Entity]:
    """A body for each payment; two of one invoice share what it has open."""
    open_amounts = {id: reading.amount_of(invoice, "Balance") for id, invoice in standing.items()}
    bodies: dict[str, encoding.Entity] = {}
    for item in items:
        invoice_id = item.invoice_external_id or ""
        bodies[item.id] = encoding.payment_body(item, open_amounts[invoice_id], batch.settings, batch.now)
        open_amounts[invoice_id] -= min(item.amount, open_amounts[invoice_id])
    return bodies


def _applicable(memo: Mapping[str, Any], invoices: Sequence[Mapping[str, Any]]) -> Decimal:
    """How much of a credit memo its invoice has room for."""
    left = reading.amount_of(memo, "RemainingCredit" if "RemainingCredit" in memo else "TotalAmt")
    return min([left, *(reading.amount_of(invoice, "Balance") for invoice in invoices)]) if invoices else Decimal(0)


def _open_sample(item: CreditNoteItem) -> dict[str, Any]:
    return {"Invoice": [{"Id": item.applies_to, "Balance": item.credit_note.total}]}


def _left_behind(reply: Reply, memo_id: str) -> Any:
    """The credit memo stands, and could not be put against its invoice."""
    found = refused(reply)
    return Rejected(found.issues, memo_id) if isinstance(found, Rejected) else found

"""Xero as a provider: every operation, in the order in which an invoice meets them."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

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
    Outcomes,
    Outgoing,
    PaymentItem,
    PaymentResult,
    PaymentStatus,
    Pending,
    Refusal,
    Rejected,
    RemovalResult,
    Reply,
    Request,
    Retry,
    SendResult,
    Snapshot,
    Steps,
    ValidationIssue,
    Verdict,
    WebhookEvent,
    hookimpl,
    remote_id,
)
from billhook_xero import encoding, oauth, preflight, reading, refusals
from billhook_xero.config import TaxAuthority, XeroCredentials, XeroSettings
from billhook_xero.contacts import choose_names, in_filters, told_apart_names, wanted_names
from billhook_xero.declaration import DECLARATION, OWN_NUMBERS
from billhook_xero.findings import REMOVED, Page, allocations_of
from billhook_xero.representation import paper_of
from billhook_xero.requests import BATCH, XeroRequests
from billhook_xero.webhooks import read_events

Json = Mapping[str, Any]
InvoiceBatch = Batch[InvoiceItem, XeroSettings]


class XeroProvider(XeroRequests):
    """Carries customers, invoices, credit notes and payments into an organisation's books, under numbers of the engine."""

    declaration = DECLARATION

    @hookimpl
    def sync_customer(self, batch: Batch[CustomerItem, XeroSettings]) -> Steps[CustomerResult]:
        """Read who has these names already, then create and change contacts in one request."""
        standing: list[Json] = []
        numbers = count(1)
        for asked in (wanted_names, told_apart_names):
            for names in in_filters(asked(batch.items, standing, batch.settings.name_clash)):
                reply = yield self.names_request(batch, next(numbers), names)
                if not refusals.is_success(reply):
                    return dict.fromkeys((item.id for item in batch.items), refusals.refused(reply))
                page = Page(reply, "Contacts", BATCH)
                if not page.is_whole:
                    # A name that is not shown may be another contact's, who would be changed in place of ours.
                    return dict.fromkeys((item.id for item in batch.items), _NOT_ALL_SHOWN)
                standing.extend(page.entries)
        chosen, refused = choose_names(batch.items, standing, batch.settings.name_clash)
        if not chosen:
            return refused
        contacts = [encoding.contact(named.item, named.name, named.known_id) for named in chosen]
        reply = yield self.contacts_request(batch, contacts)
        known = {named.item.id: named.known_id for named in chosen if named.known_id is not None}
        items = [named.item for named in chosen]
        return {**reading.outcomes_of(reply, "Contacts", items, reading.read_contact, known), **refused}

    @hookimpl
    def sync_draft(self, batch: InvoiceBatch) -> Steps[DocumentResult]:
        """Create the new ones and replace the others, in one request. What is too much for one goes with the next."""
        entries = self.draft_entries(batch)
        reply = yield self.drafts_request(batch, entries)

        def read(item: InvoiceItem, entry: Json) -> Done[DocumentResult] | Pending | Rejected:
            return reading.read_draft(item.invoice, entry, rounded=_is_rounded(item, batch.settings))

        sent, left = batch.items[: len(entries)], batch.items[len(entries) :]
        waiting = {item.id: Retry(_AT_ONCE, "the request was full") for item in left}
        return {**reading.outcomes_of(reply, "Invoices", sent, read), **waiting}

    @hookimpl
    def issue(self, batch: InvoiceBatch) -> Steps[DocumentResult]:
        """Approve drafts, in one request. What has no draft at Xero is refused."""
        ids, missing = _standing(batch)
        drafts = [item for item in batch.items if item.id in ids]
        if not drafts:
            return missing
        reply = yield self.approval_request(batch, drafts, ids)

        def read(item: InvoiceItem, entry: Json) -> Done[DocumentResult] | Pending | Rejected:
            rounded = _is_rounded(item, batch.settings)
            return reading.read_issued(item.invoice, entry, self.number_of(item), rounded=rounded)

        return {**reading.outcomes_of(reply, "Invoices", drafts, read, ids), **missing}

    @hookimpl
    def send(self, batch: InvoiceBatch) -> Steps[SendResult]:
        """Have Xero e-mail an issued invoice."""
        item, known = batch.only, remote_id(batch.only)
        if known is None:
            return {item.id: _NOT_THERE}
        reply = yield self.email_request(batch, known)
        sent = refusals.is_success(reply)
        return {item.id: Done(SendResult(batch.now)) if sent else refusals.refused(reply)}

    @hookimpl
    def void(self, batch: InvoiceBatch) -> Steps[RemovalResult]:
        """Make issued invoices void; nothing to do for what never stood there."""
        return (yield from self._remove(batch, "void", "VOIDED"))

    @hookimpl
    def delete(self, batch: InvoiceBatch) -> Steps[RemovalResult]:
        """Remove drafts; nothing to do for what never stood there."""
        return (yield from self._remove(batch, "delete", "DELETED"))

    def _remove(self, batch: InvoiceBatch, step: str, status: str) -> Steps[RemovalResult]:
        ids, missing = _standing(batch)
        nothing_left: dict[str, Done[RemovalResult]] = {id: Done(RemovalResult()) for id in missing}
        if not ids:
            return nothing_left
        items = [item for item in batch.items if item.id in ids]
        reply = yield self.removal_request(batch, step, status, ids)
        outcomes = reading.outcomes_of(reply, "Invoices", items, reading.read_removal, ids)
        refused = {id: ids[id] for id, outcome in outcomes.items() if isinstance(outcome, Rejected)}
        if not refused:
            return {**outcomes, **nothing_left}
        # Xero refuses to void what is void already, in the same words as anything else.
        reply = yield self.invoices_request(batch, "standing", list(refused.values()))
        return {**outcomes, **_removed_before(reply, refused), **nothing_left}

    @hookimpl
    def credit(self, batch: Batch[CreditNoteItem, XeroSettings]) -> Steps[DocumentResult]:
        """Issue a credit note and put it against its invoice, as far as something is due there. The rest stays the customer's credit."""
        item = batch.only
        known = remote_id(item)
        reply = yield self.credit_note_request(batch) if known is None else self.standing_note_request(batch, known)
        number = None if self.xero_numbers else item.number
        outcome = reading.outcomes_of(
            reply,
            "CreditNotes",
            batch.items,
            lambda item, entry: reading.read_issued(item.credit_note, entry, number, rounded=False),
            {item.id: known} if known is not None else None,
        ).get(item.id)
        if outcome is None:
            return {}
        if item.applies_to is None or not isinstance(outcome, Done):
            return {item.id: outcome}
        (note,) = refusals.json_of(reply)["CreditNotes"]
        refused = yield from self._allocate(batch, note, item.applies_to)
        return {item.id: refused or outcome}

    def _allocate(
        self, batch: Batch[CreditNoteItem, XeroSettings], note: Json, invoice_id: str
    ) -> Generator[Request | Call, Reply, Rejected | Retry | None]:
        if allocations_of(note, invoice_id):
            return None
        reply = yield self.credited_invoice_request(batch, invoice_id)
        if not _invoices(reply):
            return _not_allocated(refusals.refused(reply), note)
        due = Decimal(str(_invoices(reply)[0]["AmountDue"]))
        left = Decimal(str(note.get("RemainingCredit", batch.only.credit_note.total)))
        amount = min(due, left, batch.only.credit_note.total)
        if amount <= 0:
            return None
        reply = yield self.allocation_request(batch, note["CreditNoteID"], invoice_id, amount)
        told = refusals.json_of(reply).get("Allocations") or [{}]
        if refusals.is_success(reply) and not refusals.is_refused(told[0]):
            return None
        return _not_allocated(refusals.refused_item(told[0], None) if told[0] else refusals.refused(reply), note)

    @hookimpl
    def record_payment(self, batch: Batch[PaymentItem, XeroSettings]) -> Steps[PaymentResult]:
        """Note payments on their invoices, in one request. One that was noted before is not noted again."""
        outcomes: dict[str, Done[PaymentResult] | Pending | Rejected] = {}
        payments: list[Any] = []
        for item in batch.items:
            account = batch.settings.account_for(item.method)
            if item.leftovers:
                outcomes[item.id] = Done(PaymentResult(PaymentStatus.SUCCEEDED, item.amount, remote_id_left(item)))
            elif item.invoice_external_id is None:
                outcomes[item.id] = _NOT_THERE
            elif account is None:
                outcomes[item.id] = _no_account(item.method)
            else:
                made = encoding.payment(item, item.invoice_external_id, account, batch.settings, batch.now)
                payments.append(made)
        if not payments:
            return outcomes
        reply = yield self.payments_request(batch, payments)
        waiting = [item for item in batch.items if item.id not in outcomes]
        return {**reading.outcomes_of(reply, "Payments", waiting, reading.read_recorded), **outcomes}

    @hookimpl
    def fetch(self, batch: InvoiceBatch) -> Steps[Snapshot]:
        """What Xero holds under the ids that are known."""
        ids, missing = _standing(batch)
        absent: dict[str, Done[Snapshot]] = {id: Done(Snapshot(found=False)) for id in missing}
        if not ids:
            return absent
        reply = yield self.invoices_request(batch, "invoices", list(ids.values()))
        if not refusals.is_success(reply):
            return dict.fromkeys((item.id for item in batch.items), refusals.refused(reply))
        page = Page(reply, "Invoices", BATCH)
        held = {entry["InvoiceID"]: entry for entry in page.entries}

        def read(item: InvoiceItem) -> Done[Snapshot] | Retry:
            entry = held.get(ids[item.id])
            if entry is None and not page.is_whole:
                return _NOT_ALL_SHOWN
            return reading.read_snapshot(item.invoice, entry, rounded=_is_rounded(item, batch.settings))

        return {**{item.id: read(item) for item in batch.items if item.id in ids}, **absent}

    # Connection.

    @hookimpl
    def check_connection(self, batch: Batch[ConnectionItem, XeroSettings]) -> Steps[ConnectionResult]:
        """Show that the token reaches the organisation."""
        reply = yield self.organisation_request(batch)
        return {batch.only.id: reading.read_organisation_name(reply, batch.settings.account)}

    @hookimpl
    def authorize_url(self, batch: Batch[ConnectionItem, XeroSettings]) -> Outcomes[AuthorizationResult]:
        """Where a person grants access; nothing is sent."""
        if not batch.settings.client_id:
            return {
                batch.only.id: Rejected.because("client_id_missing", "The app's settings have no client_id. Set it.")
            }
        return {batch.only.id: Done(AuthorizationResult(oauth.authorization_url(batch)))}

    @hookimpl
    def exchange_code(self, batch: Batch[ConnectionItem, XeroSettings]) -> Steps[CredentialsResult]:
        """Turn the code that came back into tokens."""
        reply = yield oauth.code_request(batch)
        return {batch.only.id: oauth.read_tokens(reply, batch.now)}

    @hookimpl
    def list_accounts(self, batch: Batch[ConnectionItem, XeroSettings]) -> Steps[ConnectionResult]:
        """The organisations that the tokens reach; the id of one is the setting ``account``."""
        reply = yield oauth.accounts_request(batch)
        return {batch.only.id: oauth.read_accounts(reply)}

    @hookimpl
    def refresh_credentials(self, batch: Batch[ConnectionItem, XeroSettings]) -> Steps[CredentialsResult]:
        """New tokens. A custom connection asks with its own credentials, anything else with the refresh token, which is replaced."""
        reply = yield oauth.refresh_request(batch)
        return {batch.only.id: oauth.read_tokens(reply, batch.now)}

    # Pure hooks.

    @hookimpl
    def map_line(self, line: Line, invoice: InvoiceView, settings: XeroSettings) -> MappedLine | None:
        """To the account for sales, if there is one, with the line's own tax code."""
        if settings.sales_account is None:
            return None
        config = line.tax_config or invoice.content.workflow.default_tax_config
        code = config.code if config is not None else None
        return MappedLine(line.id, line.name, rule="sales account", account=settings.sales_account, tax_code=code)

    @hookimpl
    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: XeroSettings
    ) -> Sequence[ValidationIssue]:
        """What Xero would refuse, by its rules and by what is known of the organisation."""
        return preflight.problems_of(invoice, lines, settings)

    # Reading.

    @hookimpl
    def classify(self, request: Request | Call, reply: Reply) -> Verdict | None:
        """By status, and by what Xero documents of its limits."""
        return reading.verdict_of(reply)

    @hookimpl
    def authenticate(self, request: Outgoing, credentials: XeroCredentials, now: datetime) -> Outgoing:
        """With the access token, or with the client's own secret where tokens are asked for."""
        return oauth.signed(request, credentials)

    @hookimpl
    def read_webhook(
        self,
        headers: Mapping[str, str],
        body: bytes,
        secrets: XeroCredentials | None,
        now: datetime,
        settings: XeroSettings,
    ) -> Sequence[WebhookEvent] | Refusal:
        """The organisation's events, once their signature is checked."""
        key = secrets.webhook_key if secrets is not None else None
        return read_events(headers, body, key.get_secret_value() if key is not None else None, settings.account)


class XeroOwnNumbersProvider(XeroProvider):
    """The same, under numbers that Xero gives by the organisation's own settings."""

    declaration = OWN_NUMBERS


_AT_ONCE = timedelta()
# All that is asked for fits a page: when one says that it goes on, it is asked again.
_NOT_ALL_SHOWN = Retry(timedelta(seconds=5), "Xero did not show all that it has")
_DUE_CHANGED = Retry(timedelta(seconds=30), "what is due on the invoice changed at Xero meanwhile")
_NOT_THERE = Rejected.because("document_not_there", "The invoice does not stand at Xero. Sync its draft first.")


def _not_allocated(refusal: Rejected, note: Json) -> Rejected | Retry:
    """The credit note stands there, and is put against nothing yet."""
    if any(issue.code == "amount_exceeds_due" for issue in refusal.issues):
        return _DUE_CHANGED
    stands = (
        f"Credit note {note.get('CreditNoteNumber') or note['CreditNoteID']} stands at Xero, put against no invoice."
    )
    issues = (ValidationIssue.told(each.code, f"{stands} {each.message}", path=each.path) for each in refusal.issues)
    return Rejected(tuple(issues), note["CreditNoteID"])


def _standing(batch: InvoiceBatch) -> tuple[dict[str, str], dict[str, Rejected]]:
    """The remote ids of what stands at Xero, and a refusal for what does not."""
    ids = {item.id: known for item in batch.items if (known := remote_id(item)) is not None}
    return ids, {item.id: _NOT_THERE for item in batch.items if item.id not in ids}


def _removed_before(reply: Reply, refused: Mapping[str, str]) -> dict[str, Done[RemovalResult] | Retry]:
    """Of removals that were refused: what is gone all the same, and what the page did not show."""
    page = Page(reply, "Invoices", BATCH)
    statuses = {entry["InvoiceID"]: entry["Status"] for entry in page.entries}
    goes_on = refusals.is_success(reply) and not page.is_whole
    unseen = {id: _NOT_ALL_SHOWN for id, known in refused.items() if goes_on and known not in statuses}
    gone = {id: Done(RemovalResult(known)) for id, known in refused.items() if statuses.get(known) in REMOVED}
    return {**unseen, **gone}


def _invoices(reply: Reply) -> Sequence[Json]:
    return refusals.json_of(reply).get("Invoices") or () if refusals.is_success(reply) else ()


def _is_rounded(item: InvoiceItem, settings: XeroSettings) -> bool:
    if not item.lines:
        # Without its mapping nobody knows whether a rounding line was needed.
        return settings.tax is TaxAuthority.XERO
    return paper_of(item.invoice, item.lines, settings).rounding is not None


def remote_id_left(item: PaymentItem) -> str:
    """The id of what an unfinished operation left at Xero. A payment's external id is its payer's or its bank's."""
    return next(iter(item.leftovers.values()))


def _no_account(method: str | None) -> Rejected:
    message = (
        f"No account of Xero takes payments by {method or 'any method'}. Name one, in payment_account, or for that method in payment_accounts: "
        "billhook apps update APP_ID --set payment_account=CODE"
    )
    return Rejected.because("payment_account_missing", message)

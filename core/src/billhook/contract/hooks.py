"""The hooks, by topic. Each docstring says what the hook is for, when it is called, what it returns, and what becomes of a refusal.

Three kinds, told apart by what they are. An **operation** is a generator function that yields requests and returns outcomes by item id (or
a plain function where the provider declares it ``local``). A **pure** hook is a plain function; None lets the next implementation
answer, so a host can override it for one app. A **reading** hook is a plain function that the provider alone implements. **Observers** are
engine-wide, and all of them are called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pluggy

from billhook.contract.events import AppStatusChanged, InvoiceTransitioned, OperationSettled
from billhook.contract.items import (
    Batch,
    ConnectionItem,
    CreditNoteItem,
    CustomerItem,
    InvoiceItem,
    PaymentItem,
    RefundItem,
)
from billhook.contract.numbers import NumberRequest
from billhook.contract.outcomes import Steps
from billhook.contract.requests import Call, Outgoing, Reply, Request
from billhook.contract.results import (
    AuthorizationResult,
    ConnectionResult,
    CredentialsResult,
    CustomerResult,
    DocumentResult,
    PaymentResult,
    RefundResult,
    RemovalResult,
    SendResult,
    Snapshot,
    TaxResult,
    WriteOffResult,
)
from billhook.contract.verdict import Verdict
from billhook.contract.webhooks import Refusal, WebhookEvent
from billhook.domain.invoice import InvoiceView, Line
from billhook.domain.issue import ValidationIssue
from billhook.domain.mapping import MappedLine

PROJECT = "billhook"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class CustomerSpec:
    """Customers at the provider."""

    @hookspec(firstresult=True)
    def sync_customer(self, batch: Batch[CustomerItem, Any]) -> Steps[CustomerResult]:  # type: ignore[empty-body]
        """Operation. Bring customers to the provider: create, or update where ``external_id`` is set.

        Called once per customer and app before any invoice needs it, and again after the customer was edited. Two invoices of one
        customer wait for the same call.

        Returns Done with the customer's id there. The stored payment method and ``app_data`` come back in every later item's
        ``customer``.

        Errors: Rejected stops every invoice that waits for the customer with ``customer_rejected``; it is tried again when the
        customer is edited or an invoice is retried. A name that clashes is for the provider to resolve, by a rule that it
        documents.
        """


class InvoicingSpec:
    """Invoices and credit notes at the provider."""

    @hookspec(firstresult=True)
    def sync_draft(self, batch: Batch[InvoiceItem, Any]) -> Steps[DocumentResult]:  # type: ignore[empty-body]
        """Operation. Put the draft there: create it, or replace the one that ``external_id`` names. Return the totals the provider
        holds.

        Called when an invoice enters ``draft.syncing``, and again for every revision. Without the capability the invoice passes,
        and the first that the provider sees of it is ``issue``.

        Returns Done with the id, the ids of lines and discounts, and the totals that the provider holds. Pending is looked at by
        ``fetch``.

        Errors: Rejected makes the invoice ``draft.sync_failed`` with the issues that it names. So do totals that differ from the
        invoice's, with ``totals_differ`` and both figures.
        """

    @hookspec(firstresult=True)
    def issue(self, batch: Batch[InvoiceItem, Any]) -> Steps[DocumentResult]:  # type: ignore[empty-body]
        """Operation. Make the invoice final under ``item.number`` (or return the number that the provider gave).

        Called when an approved invoice enters ``issuing.syncing``. ``item.external_id`` names its draft, where there are drafts.

        Returns Done with the id, the number where the provider gave or changed it, and the totals that the provider holds. Pending
        is looked at by ``fetch``.

        Errors: Rejected makes the invoice ``issuing.failed``, and it keeps its number for the next try. So do totals that differ,
        with ``totals_differ``.
        """

    @hookspec(firstresult=True)
    def send(self, batch: Batch[InvoiceItem, Any]) -> Steps[SendResult]:  # type: ignore[empty-body]
        """Operation. Send the issued invoice to the customer, once.

        Called after ``issue`` where the workflow says ``send_invoice``, unless the document that was issued says when it was sent.

        Returns Done with the moment of sending. Sent already is Done.

        Errors: Rejected makes the invoice ``issuing.failed``; a retry sends it without issuing it again.
        """

    @hookspec(firstresult=True)
    def void(self, batch: Batch[InvoiceItem, Any]) -> Steps[RemovalResult]:  # type: ignore[empty-body]
        """Operation. Make an issued invoice void. Already void is Done.

        Called when an invoice is voided that stands at this app, finished or as a leftover. Where the app never had it, nothing is
        asked.

        Returns Done, as also for a document that was never there.

        Errors: Rejected leaves the invoice voided here, and shows as its issue: it still stands there.
        """

    @hookspec(firstresult=True)
    def mark_uncollectible(self, batch: Batch[InvoiceItem, Any]) -> Steps[WriteOffResult]:  # type: ignore[empty-body]
        """Operation. Note on an issued invoice that nobody expects its money any more; it may still come. Already noted is Done.

        Called when an invoice becomes uncollectible that stands at this app. Without the capability nothing is asked.

        Returns Done, as also for a document that was never there.

        Errors: Rejected leaves the invoice uncollectible here, and shows as its issue.
        """

    @hookspec(firstresult=True)
    def delete(self, batch: Batch[InvoiceItem, Any]) -> Steps[RemovalResult]:  # type: ignore[empty-body]
        """Operation. Remove a draft. Already gone is Done.

        Called when an invoice enters ``delete.syncing`` that stands at this app, finished or as a leftover. It may be issued there
        already, where a document was refused halfway.

        Returns Done, as also for a document that was never there.

        Errors: Rejected makes the invoice ``delete.failed``.
        """

    @hookspec(firstresult=True)
    def credit(self, batch: Batch[CreditNoteItem, Any]) -> Steps[DocumentResult]:  # type: ignore[empty-body]
        """Operation. Issue a credit note, applied to the invoice that ``applies_to`` names if there is one.

        Called when a credit note is issued. One that is based on an invoice waits until that is issued at this app.

        Returns Done with the id, and the totals that the provider holds, which are compared as those of an invoice are.

        Errors: Rejected makes the credit note failed. It keeps its number and can be retried.
        """


class PaymentSpec:
    """Money."""

    @hookspec(firstresult=True)
    def collect_payment(self, batch: Batch[PaymentItem, Any]) -> Steps[PaymentResult]:  # type: ignore[empty-body]
        """Operation. Take the money with the customer's stored method. An unknown remote status is Pending.

        Called when an issued invoice is to be charged automatically, and again when a failed one is retried. ``item.amount`` is
        what is due; ``invoice_external_id`` is None where the invoice lives elsewhere.

        Returns Done with the status and the amount that was really received, or Pending while it is under way: ``check_payment``
        looks then.

        Errors: Rejected makes the payment failed and the invoice ``payment_processing.failed``. A charge that was declined is no
        refusal but Done with the status ``FAILED``, its ``code`` and ``message``.
        """

    @hookspec(firstresult=True)
    def capture_payment(self, batch: Batch[PaymentItem, Any]) -> Steps[PaymentResult]:  # type: ignore[empty-body]
        """Operation. Take ``item.amount`` of a payment that was only authorized; the rest of it goes back. Already taken is Done.

        Called when somebody captures an authorized payment, in whole or in part.

        Returns Done with the status and the amount that was taken, or Pending while it is under way.

        Errors: Rejected leaves the payment authorized, shows as a warning, and leads to ``check_payment``, because it may stand
        otherwise there than is known here.
        """

    @hookspec(firstresult=True)
    def cancel_payment(self, batch: Batch[PaymentItem, Any]) -> Steps[PaymentResult]:  # type: ignore[empty-body]
        """Operation. Have a payment that is authorized or still open come to nothing. Where the money came all the same, say so: a
        payment that can't be canceled any more is Done with the status it has.

        Called when somebody cancels the payment of an invoice, voids an invoice of which a payment is under way, or pays it another
        way.

        Returns Done with the status that the payment has now, or Pending while that is open.

        Errors: Rejected leaves the payment as it is, shows as a warning, and leads to ``check_payment``.
        """

    @hookspec(firstresult=True)
    def check_payment(self, batch: Batch[PaymentItem, Any]) -> Steps[PaymentResult]:  # type: ignore[empty-body]
        """Operation. Read how a payment stands; one that succeeded can be taken back.

        Called at ``check_after``, when a webhook hints at it, and after a refused capture or cancellation.

        Returns Done with the status and the amount received, or Pending with the next ``check_after``. An older word that comes
        late changes nothing.

        Errors: Rejected says nothing of the money: it shows as a warning, and the payment is looked at again an hour later.
        """

    @hookspec(firstresult=True)
    def record_payment(self, batch: Batch[PaymentItem, Any]) -> Steps[PaymentResult]:  # type: ignore[empty-body]
        """Operation. Note at this app a payment that came another way, so that its books agree.

        Called at the invoicing app once the invoice is issued there, for each payment that it did not take itself.
        ``item.external_id`` is the payer's or another app's, not this app's.

        Returns Done with the id under which the payment is noted there.

        Errors: Rejected shows as a warning on the invoice, of a component that ends with the payment's id, until a retry of the invoice notes it
        or somebody enters it there. The money counts all the same.
        """

    @hookspec(firstresult=True)
    def refund(self, batch: Batch[RefundItem, Any]) -> Steps[RefundResult]:  # type: ignore[empty-body]
        """Operation. Give money back from a payment that this app collected.

        Called when somebody refunds a payment, in whole or in part. ``item.amount`` is what is to go back.

        Returns Done with the status and the amount, or Pending while it is under way: ``check_refund`` looks then.

        Errors: Rejected makes the refund failed, with the reason.
        """

    @hookspec(firstresult=True)
    def check_refund(self, batch: Batch[RefundItem, Any]) -> Steps[RefundResult]:  # type: ignore[empty-body]
        """Operation. Read how a refund stands; one that was paid can bounce.

        Called at ``check_after`` and when a webhook hints at it.

        Returns Done with the status and the amount, or Pending with the next ``check_after``.

        Errors: Rejected says nothing of the money; the refund is looked at again an hour later.
        """


class TaxSpec:
    """Tax from outside."""

    @hookspec(firstresult=True)
    def calculate_tax(self, batch: Batch[InvoiceItem, Any]) -> Steps[TaxResult]:  # type: ignore[empty-body]
        """Operation. Tax per line, asked for while the draft is validated. A failed look-up stops the invoice; it never means no
        tax.

        Called at the tax app of the profile, in ``draft.validating``, where the workflow has tax switched on. It changes nothing
        there.

        Returns Done with the taxes by line id. A line without an entry keeps the tax that it has, and one whose taxes the sender
        stated keeps those in any case.

        Errors: Rejected makes the invoice ``draft.invalid``.
        """


class ReconciliationSpec:
    """Reading back."""

    @hookspec(firstresult=True)
    def fetch(self, batch: Batch[InvoiceItem, Any]) -> Steps[Snapshot]:  # type: ignore[empty-body]
        """Operation. Read what the provider holds for a document now. Changes nothing.

        Called when a webhook hints at a document, when ``sync_draft`` or ``issue`` left it pending, and when an operator says that
        a document in doubt was found.

        Returns Done with what stands there, ``found`` False where there is no such document. ``amount_paid`` that is more than was
        known counts as money that came there; each of its ``receipts`` counts under its own id, and a webhook of kind ``payment`` that
        names one leads here.

        Errors: Rejected for a document that is pending counts as the refusal of what is waited for; otherwise it shows as an issue.
        """


class ConnectionSpec:
    """The app's connection and its credentials."""

    @hookspec(firstresult=True)
    def check_connection(self, batch: Batch[ConnectionItem, Any]) -> Steps[ConnectionResult]:  # type: ignore[empty-body]
        """Operation. Show that the credentials work, and what they reach.

        Called by ``billhook apps check``, and by a host that asks. It changes nothing there.

        Returns Done with the accounts, as far as the provider tells.

        Errors: Rejected is told to whoever asked, with its message. A 401 is read before this hook: credentials that can be renewed
        are, once.
        """

    @hookspec(firstresult=True)
    def authorize_url(self, batch: Batch[ConnectionItem, Any]) -> Steps[AuthorizationResult]:  # type: ignore[empty-body]
        """Operation. The address where a person grants access.

        Called when a person begins to connect an app. The parameters are ``redirect_uri``, ``state``, ``code_challenge`` and
        ``code_challenge_method``, with the values of the credentials that are no secrets.

        Returns Done with the address. Most providers make it without a request, so the operation is declared ``local``.

        Errors: Rejected is told to whoever asked, with its message.
        """

    @hookspec(firstresult=True)
    def exchange_code(self, batch: Batch[ConnectionItem, Any]) -> Steps[CredentialsResult]:  # type: ignore[empty-body]
        """Operation. Turn the code that came back into credentials. Never journalled.

        Called when the person came back. The parameters are the whole query of the redirect, with ``redirect_uri`` and
        ``code_verifier``; its ``state`` was checked before.

        Returns Done with the credentials by the names of the credentials model, and when they expire.

        Errors: Rejected ends the connecting; the person begins again.
        """

    @hookspec(firstresult=True)
    def list_accounts(self, batch: Batch[ConnectionItem, Any]) -> Steps[ConnectionResult]:  # type: ignore[empty-body]
        """Operation. The accounts that the credentials reach.

        Called after ``exchange_code``. The parameters are the query of the redirect. An app is installed for each account that the
        person chooses, and keeps its id in the setting ``account``.

        Returns Done with id and name of each account.

        Errors: Rejected ends the connecting; the person begins again.
        """

    @hookspec(firstresult=True)
    def refresh_credentials(self, batch: Batch[ConnectionItem, Any]) -> Steps[CredentialsResult]:  # type: ignore[empty-body]
        """Operation. New credentials for old. One at a time per credential. Never journalled.

        Called before credentials expire, and once after a 401. Several apps may share what is renewed.

        Returns Done with what is new, by the names of the credentials model, and when it expires; what is left out stays. They are
        stored before anybody uses them.

        Errors: Rejected means that the grant is dead: every app that shares it becomes unauthorized. An answer that is lost is
        asked for again, with the same credentials.
        """


class LineSpec:
    """Mapping of lines."""

    @hookspec(firstresult=True)
    def map_line(self, line: Line, invoice: InvoiceView, settings: Any) -> MappedLine | None:
        """Pure. Where a line goes: account, item, tax code, and the rule that chose them. None: ask the next; if nobody knows, the
        invoice stops with the issue ``line_not_mapped``.

        Called for each line of a draft and of a credit note while it is validated, after the host's override and the rules of the
        app, and again after an edit or a retry. The result is frozen: what was mapped is what is sent.

        Returns the line in the words of the provider, or None.

        Errors: what it raises stops the invoice with ``provider_fault``. It does no I/O and reads no clock.
        """


class NumberingSpec:
    """External numbers."""

    @hookspec(firstresult=True)
    def assign_number(self, number: NumberRequest, settings: Any) -> str | None:
        """Pure. Shape the sequence value that the engine reserved into the document's number. None: the series' own template.

        Called just before the operation that carries the number, where the engine owns numbers. The same value always comes for the
        same document.

        Returns the number, which has to fit the declared length and pattern, or None.

        Errors: a number that does not fit is refused before anything is sent, with ``number_too_long`` or ``number_not_accepted``;
        what the hook raises, with ``number_failed``.
        """


class ValidationSpec:
    """What the provider would refuse."""

    @hookspec(firstresult=True)
    def validate_invoice(
        self, invoice: InvoiceView, lines: Sequence[MappedLine], settings: Any
    ) -> Sequence[ValidationIssue] | None:
        """Pure. Everything wrong with an invoice, all at once, before anything is written. Critical issues stop it.

        An app that only collects is asked too, where the profile collects by itself: of an invoice that lives elsewhere, with no
        ``lines``.

        Called while a draft or a credit note is validated, after its lines are mapped and the limits that the declaration states
        are checked; ``invoice.type`` tells which it is.

        Returns every issue found, each with a stable code and a path into the invoice; none, or None, where all is well.

        Errors: what it raises stops the invoice with ``provider_fault``.
        """


class ReadingSpec:
    """Reading what comes back. The provider alone implements these."""

    @hookspec(firstresult=True)
    def classify(self, request: Request | Call, reply: Reply) -> Verdict | None:
        """What a reply says about whether the request was executed. Only ``Answered`` reaches the operation.

        Called for every reply, of look-ups too, before anybody believes it. Nothing is known but the request and the reply.

        Returns a verdict; None leaves it to the default, which goes by status.

        Errors: it has to have a verdict for any bytes. What it raises counts as an unknown outcome of a request that may have been
        executed.
        """

    @hookspec(firstresult=True)
    def authenticate(self, request: Outgoing, credentials: Any, now: datetime) -> Outgoing | None:
        """The request with its credentials added, at the moment of sending. The result is never stored.

        Called for every send, also of the same request. ``credentials`` are the newest; ``now`` is for signatures that hold the
        time.

        Returns the request with headers added, or with places in it filled; None leaves it unchanged.

        Errors: what it raises stops the item with ``request_unsendable``; nothing was sent.
        """

    @hookspec(firstresult=True)
    def read_webhook(
        self, headers: Mapping[str, str], body: bytes, secrets: Any, now: datetime, settings: Any
    ) -> Sequence[WebhookEvent] | Refusal | None:
        """The verified events of a webhook (header names in lower case, body as received), or why it is refused. A missing secret
        is a refusal. ``secrets`` is the app's credentials model. Leave out what ``settings`` show to be another account's: one
        address may get the events of many.

        Called for every webhook that arrives for the app, before anything is stored.

        Returns the events, none where nothing concerns the app, or a Refusal. An event's ``id`` is the same whenever it is told.

        Errors: a Refusal, and whatever it raises, is answered to the sender as refused. Nothing is stored then.
        """


PROVIDER_SPECS: tuple[type, ...] = (
    CustomerSpec,
    InvoicingSpec,
    PaymentSpec,
    TaxSpec,
    ReconciliationSpec,
    ConnectionSpec,
    LineSpec,
    NumberingSpec,
    ValidationSpec,
    ReadingSpec,
)


class ObserverSpec:
    """Engine-wide: whoever wants to know. Called after commit; what an observer raises is logged and stops nothing."""

    @hookspec
    def invoice_transitioned(self, event: InvoiceTransitioned) -> None:
        """An invoice moved. ``event.hops`` lists every state it passed.

        Called after the commit that moved it, in the process that did.

        Returns nothing.

        Errors: what it raises is logged and stops nothing.
        """

    @hookspec
    def operation_settled(self, event: OperationSettled) -> None:
        """An operation ended for one item, with this outcome.

        Called after the commit that settled it, for each item of a batch.

        Returns nothing.

        Errors: what it raises is logged and stops nothing.
        """

    @hookspec
    def app_status_changed(self, event: AppStatusChanged) -> None:
        """An app became ready or unauthorized, or was disabled.

        Called after the commit that changed it.

        Returns nothing.

        Errors: what it raises is logged and stops nothing.
        """

"""A person at the office, who works in the books by hand, and what becomes here of invoices that stand there."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from xero_kit import settings_for

from billhook.testing.crash import work_until_quiet
from billhook.testing.invariants import problems_of
from billhook_xero.simulator import app_credentials

LAMP = {"name": "Lamp", "price": {"type": "flat", "amount": "10.00"}}


def enter(xero, invoice_id, amount, reference=None):
    """A payment of an invoice. Returns its id."""
    invoice, account = {"InvoiceID": invoice_id}, {"Code": "090"}
    told = {"Invoice": invoice, "Account": account, "Amount": Decimal(amount), "Reference": reference}
    (entered,) = xero.do("PUT", "/Payments", {"Payments": [told]})["Payments"]
    return entered["PaymentID"]


def delete(xero, payment_id):
    xero.do("POST", f"/Payments/{payment_id}", {"Status": "DELETED"})


def shown(xero, invoice_id):
    """The invoice by itself."""
    (invoice,) = xero.do("GET", f"/Invoices/{invoice_id}")["Invoices"]
    return invoice


def receive_on_account(xero, contact_id, amount, kind="Prepayment"):
    """Money that came in advance ("Prepayment") or beyond what was due ("Overpayment"). Returns where it stands."""
    line = {"Description": "For later", "UnitAmount": Decimal(amount), "AccountCode": "200", "TaxType": "NONE"}
    told = {"Type": f"RECEIVE-{kind.upper()}", "Contact": {"ContactID": contact_id}, "BankAccount": {"Code": "090"}}
    (made,) = xero.do("PUT", "/BankTransactions", {"BankTransactions": [{**told, "LineItems": [line]}]})[
        "BankTransactions"
    ]
    return f"/{kind}s/{made[f'{kind}ID']}"


def make_note(xero, contact_id, amount):
    """A credit note of the office's own. Returns where it stands."""
    line = {"Description": "Goodwill", "UnitAmount": Decimal(amount), "AccountCode": "200", "TaxType": "NONE"}
    told = {"Type": "ACCRECCREDIT", "Status": "AUTHORISED", "Contact": {"ContactID": contact_id}, "LineItems": [line]}
    (made,) = xero.do("PUT", "/CreditNotes", {"CreditNotes": [told]})["CreditNotes"]
    return f"/CreditNotes/{made['CreditNoteID']}"


def put_against(xero, credit, invoice_id, amount):
    """So much of what stands there is put against the invoice. Returns where that stands."""
    told = {"Invoice": {"InvoiceID": invoice_id}, "Amount": Decimal(amount)}
    (made,) = xero.do("PUT", f"{credit}/Allocations", {"Allocations": [told]})["Allocations"]
    return f"{credit}/Allocations/{made['AllocationID']}"


def take_off(xero, allocation):
    assert xero.do("DELETE", allocation)["IsDeleted"]


class Office:
    """Invoices of ours in these books, and a person at the office who works there."""

    def __init__(self, engine, xero, url, clock):
        self.engine, self.xero, self.clock = engine, xero, clock
        self.ns = engine.namespace()
        self.app = self.ns.apps.install("xero", settings=settings_for(url), credentials=app_credentials())
        apps = dict.fromkeys(("tax_app_id", "invoicing_app_id", "payment_app_id"), self.app.id)
        workflow = {"collection_method": "send_invoice"}
        self.ns.profiles.create("Usual", is_default=True, supplier={"name": "Acme"}, workflow=workflow, **apps)
        self.ns.customers.create("Ada", key="ada", email="ada@customer.example")

    def bill(self, count=1):
        drafts = [{"customer_key": "ada", "currency": "GBP", "lines": [LAMP]}] * count
        ids = self.ns.invoices.submit_many(drafts)
        work_until_quiet(self.engine, self.clock)
        self.hear()
        return ids

    def there(self, id):
        """Xero's id of an invoice."""
        return next(each.id for each in self.xero.documents() if each.reference == id)

    def enter(self, id, *amounts):
        return [enter(self.xero, self.there(id), amount) for amount in amounts]

    def receive_on_account(self, amount, kind="Prepayment"):
        (ada,) = self.xero.customers()
        return receive_on_account(self.xero, ada.id, amount, kind)

    def put_against(self, credit, id, amount):
        return put_against(self.xero, credit, self.there(id), amount)

    def hear(self):
        """Each webhook comes, and what follows is done."""

        def receive(headers, body):
            self.engine.receive_webhook(self.app.id, dict(headers), body)
            return 200

        self.xero.deliver_webhooks(receive)
        work_until_quiet(self.engine, self.clock)
        assert problems_of(self.engine) == []

    def wait(self, minutes):
        self.clock.advance(timedelta(minutes=minutes))
        work_until_quiet(self.engine, self.clock)

    def look_again(self, id):
        """Somebody marks it as sent there, so that it is read anew."""
        self.xero.do("POST", f"/Invoices/{self.there(id)}/Email")
        self.hear()

    def money(self, id):
        """By the id in the books; what was noted from here has the one of its note."""
        payments = self.ns.invoices.get(id).payments
        return sorted(((each.origin, each.external_id, each.amount_received) for each in payments), key=str)

    def known(self, id):
        details = self.ns.invoices.get(id)
        return details.invoice.amount_paid, [issue.code for issue in details.issues]

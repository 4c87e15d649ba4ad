"""OpenMeter's published Python client does everything of billing against `billhook serve`, in the one story of a shop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from corehttp.exceptions import ClientAuthenticationError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from openmeter import Client, models
from openmeter.aio import Client as AsyncClient
from receiving import Receiver
from server_process import ServerProcess
from waiting import eventually

pytestmark = pytest.mark.clients

GROUPS = (
    "app_custom_invoicing",
    "apps",
    "billing_profiles",
    "customer_apps",
    "customer_invoice",
    "customer_overrides",
    "customers",
    "invoice",
    "invoices",
    "marketplace",
    "notification_channels",
    "notification_events",
    "notification_rules",
)
"""The groups of methods that are about billing; all others are about metering, plans, entitlements and Stripe's own pages."""

OUT_OF_SCOPE = {"customers.list_customer_subscriptions"}
"""Methods in these groups that are about something else."""

SUPPLIER = {"name": "ACME Ltd", "addresses": [{"country": "GB", "city": "London"}]}
FLAT = {"type": "flat", "amount": "100.00", "paymentTerm": "in_advance"}
STRANGER = "01G65Z755AFWAKHE12NY0CQ9FH"


class Recorded:
    """The client, and which of its methods were called."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.called: set[str] = set()

    def __getattr__(self, group: str) -> Any:
        return RecordedGroup(group, getattr(self._client, group), self.called)

    def never_called(self) -> set[str]:
        groups = {name: type(getattr(self._client, name)) for name in GROUPS}
        offered = {f"{name}.{method}" for name, group in groups.items() for method in vars(group) if method[0] != "_"}
        return offered - self.called - OUT_OF_SCOPE


class RecordedGroup:
    """One group of its methods."""

    def __init__(self, name: str, group: Any, called: set[str]) -> None:
        self._name, self._group, self._called = name, group, called

    def __getattr__(self, method: str) -> Any:
        self._called.add(f"{self._name}.{method}")
        return getattr(self._group, method)


@pytest.fixture
def client(server: ServerProcess, token: str) -> Iterator[Recorded]:
    with Client(endpoint=server.url, token=token) as client:
        yield Recorded(client)


def ago(**since: float) -> str:
    return (datetime.now(UTC) - timedelta(**since)).strftime("%Y-%m-%dT%H:%M:%SZ")


def line(name: str = "Fee", **card: Any) -> dict[str, Any]:
    period = {"from": ago(days=31), "to": ago(days=1)}
    return {"name": name, "period": period, "invoiceAt": ago(minutes=5), "rateCard": {"price": FLAT, **card}}


def status(invoice: Any) -> str:
    return str(invoice.status_details.extended_status)


def test_a_shop_lives_by_the_client(client: Recorded, receiver: Receiver):
    app_id = an_app(client)
    profile_id = profiles(client, app_id)
    customer_id = a_customer(client, app_id)
    overrides(client, customer_id, profile_id)
    rule_id, channel_id = a_rule(client, receiver)
    callbacks(client, customer_id)
    drafts(client, customer_id, app_id)
    issued(client, customer_id)
    notifications(client, receiver, rule_id, channel_id)
    farewell(client, customer_id, app_id)
    assert client.never_called() == set()


def an_app(client: Recorded) -> str:
    listed = {each.type: each.install_methods for each in client.marketplace.list().items_property}
    assert listed["custom_invoicing"] == ["no_credentials_required"]
    assert client.marketplace.get("custom_invoicing").name == "Custom Invoicing"
    with pytest.raises(HttpResponseError, match="no_credentials_required"):
        client.marketplace.install_with_api_key(
            "custom_invoicing", models.MarketplaceInstallRequestPayload({"apiKey": "k", "name": "Keyed"})
        )
    for by_consent in (client.marketplace.get_o_auth2_install_url, client.marketplace.authorize_o_auth2_install):
        with pytest.raises(HttpResponseError):
            by_consent("custom_invoicing")
    request = models.MarketplaceInstallRequestPayload(name="Books", create_billing_profile=False)
    # What an app is comes as a plain object: the client makes no models of its unions.
    app = client.marketplace.install("custom_invoicing", request).app
    assert (app["type"], app["status"], app["enableDraftSyncHook"]) == ("custom_invoicing", "ready", False)
    assert client.apps.update(app["id"], hooks(draft=True, issuing=True))["enableIssuingSyncHook"] is True
    assert client.apps.get(app["id"])["name"] == "Our books"
    assert [each["id"] for each in client.apps.list().items_property] == [app["id"]]
    return str(app["id"])


def hooks(*, draft: bool, issuing: bool) -> models.CustomInvoicingAppReplaceUpdate:
    # The client's models fill in no discriminator: without the type the server refuses this, as OpenMeter does.
    return models.CustomInvoicingAppReplaceUpdate(
        type="custom_invoicing", name="Our books", enable_draft_sync_hook=draft, enable_issuing_sync_hook=issuing
    )


def profiles(client: Recorded, app_id: str) -> str:
    """Makes a default profile and one with approval by hand, which is given back."""
    apps = dict.fromkeys(("tax", "invoicing", "payment"), app_id)
    usual = {"name": "Usual", "default": True, "supplier": SUPPLIER, "workflow": {}, "apps": apps}
    made = client.billing_profiles.create(models.BillingProfileCreate(usual))
    assert (made.default, made.workflow.invoicing.due_after) == (True, "P30D")
    slow = {**usual, "name": "Slow", "default": False, "workflow": {"invoicing": {"autoAdvance": False}}}
    slow_id = client.billing_profiles.create(models.BillingProfileCreate(slow)).id
    changed = {name: value for name, value in slow.items() if name != "apps"} | {"name": "By hand"}
    update = models.BillingProfileReplaceUpdateWithWorkflow(changed)
    assert client.billing_profiles.update(slow_id, update).workflow.invoicing.auto_advance is False
    assert client.billing_profiles.get(slow_id, expand=["apps"]).apps["invoicing"]["name"] == "Our books"
    spare = client.billing_profiles.create(models.BillingProfileCreate({**slow, "name": "Spare"})).id
    assert client.billing_profiles.delete(spare) is None
    assert [each.name for each in client.billing_profiles.list().items_property] == ["Usual", "By hand"]
    return str(slow_id)


def a_customer(client: Recorded, app_id: str) -> str:
    person = {"name": "Jane Doe", "key": "jane", "usageAttribution": {"subjectKeys": ["jane-1"]}, "currency": "USD"}
    customer = client.customers.create(models.CustomerCreate(person))
    update = models.CustomerReplaceUpdate({**person, "primaryEmail": "jane@example.com"})
    assert client.customers.update("jane", update).primary_email == "jane@example.com"
    assert client.customers.get("jane").id == customer.id
    assert [each.key for each in client.customers.list(subject="jane-1").items_property] == ["jane"]
    with pytest.raises(ResourceExistsError):
        client.customers.create(models.CustomerCreate(person))
    known = models.CustomInvoicingCustomerAppData(type="custom_invoicing", id=app_id, metadata={"debtor": "D-7"})
    assert client.customer_apps.upsert_app_data("jane", [known])[0]["metadata"] == {"debtor": "D-7"}
    assert [each["id"] for each in client.customer_apps.list_app_data("jane").items_property] == [app_id]
    return str(customer.id)


def overrides(client: Recorded, customer_id: str, profile_id: str) -> None:
    pin = models.BillingProfileCustomerOverrideCreate(billing_profile_id=profile_id)
    assert client.customer_overrides.upsert(customer_id, pin).customer_override.billing_profile_id == profile_id
    assert client.customer_overrides.get(customer_id).base_billing_profile_id == profile_id
    pinned = client.customer_overrides.list(billing_profile=[profile_id]).items_property
    assert [each.customer_override.customer_id for each in pinned] == [customer_id]
    assert client.customer_overrides.delete(customer_id) is None
    assert client.customer_overrides.get(customer_id).customer_override is None
    with pytest.raises(ResourceNotFoundError):
        client.customer_overrides.delete(customer_id)


def a_rule(client: Recorded, receiver: Receiver) -> tuple[str, str]:
    hook = {"type": "WEBHOOK", "name": "Hook", "url": receiver.url}
    channel = client.notification_channels.create(models.NotificationChannelWebhookCreateRequest(hook))
    named = models.NotificationChannelWebhookCreateRequest({**hook, "name": "Our hook"})
    assert client.notification_channels.update(channel["id"], named)["signingSecret"] == channel["signingSecret"]
    assert client.notification_channels.get(channel["id"])["name"] == "Our hook"
    assert client.notification_channels.list().total_count == 1
    wanted = {"type": "invoice.created", "name": "New", "channels": [channel["id"]]}
    rule = client.notification_rules.create(models.NotificationRuleInvoiceCreatedCreateRequest(wanted))
    renamed = models.NotificationRuleInvoiceCreatedCreateRequest({**wanted, "name": "New ones"})
    assert client.notification_rules.update(rule["id"], renamed)["name"] == "New ones"
    assert client.notification_rules.get(rule["id"])["channels"] == [{"id": channel["id"], "type": "WEBHOOK"}]
    assert client.notification_rules.list().total_count == 1
    return rule["id"], channel["id"]


def invoiced(client: Recorded, customer_id: str, *lines: dict[str, Any]) -> models.Invoice:
    kept = models.InvoicePendingLineCreateInput({"currency": "USD", "lines": list(lines or [line()])})
    assert client.customer_invoice.create_pending_invoice_line(customer_id, kept).invoice.status == "gathering"
    (made,) = client.invoices.invoice_pending_lines_action(
        models.InvoicePendingLinesActionInput({"customerId": customer_id})
    )
    return made


def callbacks(client: Recorded, customer_id: str) -> None:
    """With both hooks on. The client takes 204 alone here, as the document says; OpenMeter's own server answers 200, which it refuses."""
    tried = models.InvoiceSimulationInput({"currency": "USD", "lines": [{**line(), "quantity": "1"}]})
    assert client.customer_invoice.simulate_invoice(customer_id, tried).totals.total == "100.00"
    made = invoiced(client, customer_id)
    assert status(made) == "draft.syncing"
    ids = [{"lineId": made.lines[0].id, "externalId": "line-1"}]
    said = {"invoicing": {"invoiceNumber": "A-1", "externalId": "doc-1", "lineExternalIds": ids}}
    outside = client.app_custom_invoicing
    assert outside.draft_syncronized(made.id, models.CustomInvoicingDraftSynchronizedRequest(said)) is None
    assert status(client.invoice.get_invoice(made.id)) == "issuing.syncing"
    sent = {"invoicing": {"sentToCustomerAt": ago(minutes=1)}, "payment": {"externalId": "pay-1"}}
    assert outside.finalized(made.id, models.CustomInvoicingFinalizedRequest(sent)) is None
    assert status(client.invoice.get_invoice(made.id)) == "payment_processing.pending"
    paid = models.CustomInvoicingUpdatePaymentStatusRequest(trigger="paid")
    assert outside.payment_status(made.id, paid) is None
    invoice = client.invoice.get_invoice(made.id)
    assert (status(invoice), invoice.number, invoice.lines[0].external_ids.invoicing) == ("paid", "A-1", "line-1")
    assert (invoice.external_ids.invoicing, invoice.external_ids.payment) == ("doc-1", "pay-1")
    assert [each.id for each in client.invoices.list(statuses=["paid"], customers=[customer_id]).items_property] == [
        made.id
    ]
    failed = models.CustomInvoicingUpdatePaymentStatusRequest(trigger="payment_failed")
    with pytest.raises(HttpResponseError) as refused:
        outside.payment_status(made.id, failed)
    assert refused.value.status_code == 400


def drafts(client: Recorded, customer_id: str, app_id: str) -> None:
    """A draft that waits for its sync may be changed; OpenMeter's server refuses that, though its guide promises it."""
    made = invoiced(client, customer_id)
    content = {name: made[name] for name in ("supplier", "customer", "lines", "workflow")}
    changed = client.invoice.update_invoice(made.id, models.InvoiceReplaceUpdate({**content, "description": "May"}))
    assert (changed.description, status(changed)) == ("May", "draft.syncing")
    assert status(client.invoice.recalculate_tax_action(made.id)) == "draft.syncing"
    assert client.invoice.delete_invoice(made.id) is None
    assert status(client.invoice.get_invoice(made.id)) == "deleted"
    client.apps.update(app_id, hooks(draft=False, issuing=False))


def issued(client: Recorded, customer_id: str) -> None:
    """With no hooks, and approval by hand."""
    by_hand = next(each for each in client.billing_profiles.list().items_property if not each.default)
    client.customer_overrides.upsert(
        customer_id, models.BillingProfileCustomerOverrideCreate(billing_profile_id=by_hand.id)
    )
    made = invoiced(client, customer_id)
    assert status(made) == "draft.manual_approval_needed"
    # There is no usage to wait for: this server has nobody to ask for it.
    for too_early in (client.invoice.advance_action, client.invoice.snapshot_quantities_action):
        with pytest.raises(HttpResponseError, match=r"invoice_(cannot_advance|action_not_available)"):
            too_early(made.id)
    assert status(client.invoice.approve_action(made.id)) == "payment_processing.pending"
    failed = models.CustomInvoicingUpdatePaymentStatusRequest(trigger="payment_failed")
    client.app_custom_invoicing.payment_status(made.id, failed)
    assert status(client.invoice.retry_action(made.id)) == "payment_processing.pending"
    whole = {"action": {"percentage": 100, "action": {"type": "discard"}}, "reason": "wrong"}
    assert client.invoice.void_invoice_action(made.id, models.VoidInvoiceActionInput(whole)).status == "voided"


def notifications(client: Recorded, receiver: Receiver, rule_id: str, channel_id: str) -> None:
    tested = client.notification_rules.test(rule_id)
    told = eventually(lambda: [each for each in receiver.received if each.id == tested.id])
    assert told[0].json["type"] == "invoice.created"
    eventually(lambda: client.notification_events.get(tested.id).delivery_status[0].state == "SUCCESS")
    again = models.NotificationEventResendRequest(channels=[channel_id])
    assert client.notification_events.resend(tested.id, again) is None
    eventually(lambda: receiver.ids.count(tested.id) == 2)
    events = client.notification_events.list(rule=[rule_id])
    assert events.total_count == 4  # three invoices and the test
    assert client.notification_rules.delete(rule_id) is None
    assert client.notification_channels.delete(channel_id) is None


def farewell(client: Recorded, customer_id: str, app_id: str) -> None:
    with pytest.raises(ResourceExistsError):
        client.apps.uninstall(app_id)
    spare = client.marketplace.install("custom_invoicing", models.MarketplaceInstallRequestPayload(name="Spare")).app
    assert client.apps.uninstall(spare["id"]) is None
    assert client.customer_apps.delete_app_data("jane", app_id) is None
    client.customer_overrides.delete(customer_id)
    assert client.customers.delete(customer_id) is None
    assert client.customers.list().total_count == 0


def test_refusals_are_the_errors_that_the_client_has_for_them(server: ServerProcess, client: Recorded):
    with pytest.raises(ResourceNotFoundError):
        client.invoice.get_invoice(STRANGER)
    with Client(endpoint=server.url, token="wrong") as stranger, pytest.raises(ClientAuthenticationError):
        stranger.apps.list()


def test_the_asynchronous_client_is_answered_alike(server: ServerProcess, token: str):
    async def listed() -> int:
        async with AsyncClient(endpoint=server.url, token=token) as client:
            return int((await client.apps.list()).total_count)

    assert asyncio.run(listed()) == 0

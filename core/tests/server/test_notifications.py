"""Notification channels, rules and events over HTTP, as OpenMeter's document says and as its client calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from openmeter import models
from openmeter_documents import is_here
from receiving import Receiver, receiving
from server_kit import Served, problem_of
from telling import LOOPBACK

from billhook.server.v1.notification_wire import renderer

CHANNELS, RULES, EVENTS = (f"/api/v1/notification/{name}" for name in ("channels", "rules", "events"))
STRANGER = "01G65Z755AFWAKHE12NY0CQ9FH"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def notifying(serve: Callable[..., Served]) -> Served:
    return serve(targets=LOOPBACK)


def a_channel(served: Served, url: str, **changes: Any) -> dict[str, Any]:
    body = {"type": "WEBHOOK", "name": "Hook", "url": url, **changes}
    return dict(served.call("POST", CHANNELS, json=body, expect=201).json())


def a_rule(served: Served, channel: dict[str, Any], type: str = "invoice.updated", **changes: Any) -> dict[str, Any]:
    body = {"type": type, "name": "Rule", "channels": [channel["id"]], **changes}
    return dict(served.call("POST", RULES, json=body, expect=201).json())


def send(served: Served) -> None:
    served.engine.notify_until_idle(renderer(served.engine.catalog))


def test_a_channel_is_made_read_replaced_and_deleted(notifying: Served, receiver: Receiver):
    made = a_channel(
        notifying,
        receiver.url,
        customHeaders={"X-Team": "billing"},
        signingSecret=SECRET,
        metadata={"team": "billing"},
    )
    assert (made["signingSecret"], made["customHeaders"], made["disabled"]) == (SECRET, {"X-Team": "billing"}, False)
    path = f"{CHANNELS}/{made['id']}"
    assert notifying.call("GET", path, expect=200).json() == made
    assert notifying.call("GET", path.lower().replace("/api", "/api"), expect=200).json() == made
    replaced = notifying.call(
        "PUT", path, json={"type": "WEBHOOK", "name": "Other", "url": receiver.url, "disabled": True}, expect=200
    ).json()
    assert (replaced["name"], replaced["disabled"], replaced["signingSecret"]) == ("Other", True, SECRET)
    assert "customHeaders" not in replaced
    assert "metadata" not in replaced
    assert notifying.call("GET", CHANNELS, expect=200).json()["items"] == []
    assert notifying.call("GET", f"{CHANNELS}?includeDisabled=true", expect=200).json()["items"] == [replaced]
    notifying.call("DELETE", path, expect=204)
    notifying.call("DELETE", path, expect=204)
    assert "deletedAt" in notifying.call("GET", path, expect=200).json()
    listed = notifying.call("GET", f"{CHANNELS}?includeDisabled=true&includeDeleted=true&orderBy=updatedAt&order=DESC")
    assert listed.json()["totalCount"] == 1


def test_a_secret_is_made_where_none_is_given_and_shown_to_administrators_alone(notifying: Served, receiver: Receiver):
    made = a_channel(notifying, receiver.url, customHeaders={"Authorization": "Bearer sesame"})
    assert made["signingSecret"].startswith("whsec_")
    for role in ("read", "integrate"):
        for shown in (
            notifying.call("GET", f"{CHANNELS}/{made['id']}", role=role, expect=200).json(),
            notifying.call("GET", CHANNELS, role=role, expect=200).json()["items"][0],
        ):
            assert "signingSecret" not in shown
            assert "customHeaders" not in shown


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"url": "ftp://receiver.example"}, "webhook_url_invalid"),
        ({"signingSecret": "short"}, "signing_secret_invalid"),
        ({"customHeaders": {"Host": "other"}}, "headers_invalid"),
        ({"name": ""}, "string_too_short"),
        ({"type": "EMAIL"}, "literal_error"),
        ({"url": None}, "string_type"),
        ({"metadata": {"a": 1}}, "string_type"),
        ({"name": "a\x00b"}, "string_pattern_mismatch"),
    ],
)
def test_a_channel_that_can_not_be_is_refused(
    notifying: Served, receiver: Receiver, changes: dict[str, Any], code: str
):
    body = {"type": "WEBHOOK", "name": "Hook", "url": receiver.url, **changes}
    assert notifying.problem("POST", CHANNELS, 400, json=body)["extensions"]["code"] == code
    assert notifying.call("GET", f"{CHANNELS}?includeDisabled=true").json()["totalCount"] == 0


def test_private_targets_are_refused_unless_the_server_allows_them(served: Served, receiver: Receiver):
    for url in (
        receiver.url,
        "https://127.0.0.1:8443",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]:8443",
    ):
        problem = served.problem("POST", CHANNELS, 400, json={"type": "WEBHOOK", "name": "Hook", "url": url})
        assert (problem["extensions"]["code"], problem["extensions"]["path"]) == ("webhook_url_invalid", "/url")


def test_a_rule_is_made_read_replaced_tested_and_deleted(notifying: Served, receiver: Receiver):
    channel = a_channel(notifying, receiver.url)
    made = a_rule(notifying, channel, metadata={"team": "billing"})
    assert made["channels"] == [{"id": channel["id"], "type": "WEBHOOK"}]
    path = f"{RULES}/{made['id']}"
    assert notifying.call("GET", path, expect=200).json() == made
    tested = notifying.call("POST", f"{path}/test", role="integrate", expect=201).json()
    assert tested["payload"]["data"]["workflow"]["apps"]["invoicing"]["type"] == "custom_invoicing"
    assert tested["deliveryStatus"][0]["state"] == "PENDING"
    send(notifying)
    assert receiver.received[0].json == tested["payload"]
    other = {"type": "invoice.updated", "name": "Other", "channels": [channel["id"].lower()], "disabled": True}
    replaced = notifying.call("PUT", path, json=other, expect=200).json()
    assert (replaced["name"], replaced["disabled"], "metadata" in replaced) == ("Other", True, False)
    fixed = notifying.problem("PUT", path, 400, json={**other, "type": "invoice.created"})
    assert fixed["extensions"]["code"] == "rule_type_fixed"
    assert notifying.call("GET", RULES).json()["totalCount"] == 0
    shown = f"{RULES}?includeDisabled=true&channel={channel['id']}&orderBy=type"
    assert notifying.call("GET", shown).json()["items"] == [replaced]
    assert notifying.call("GET", f"{RULES}?includeDisabled=true&feature=tokens").json()["items"] == []
    in_use = notifying.problem("DELETE", f"{CHANNELS}/{channel['id']}", 400)
    assert in_use["extensions"]["code"] == "notification_channel_in_use"
    notifying.call("DELETE", path, expect=204)
    notifying.call("DELETE", f"{CHANNELS}/{channel['id']}", expect=204)


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"channels": []}, "too_short"),
        ({"channels": [STRANGER]}, "channel_unknown"),
        ({"channels": ["nobody"]}, "string_pattern_mismatch"),
        ({"type": "entitlements.reset"}, "enum"),
        ({"type": None}, "enum"),
    ],
)
def test_a_rule_that_can_not_be_is_refused(notifying: Served, receiver: Receiver, changes: dict[str, Any], code: str):
    channel = a_channel(notifying, receiver.url)
    body = {"type": "invoice.updated", "name": "Rule", "channels": [channel["id"]], **changes}
    assert notifying.problem("POST", RULES, 400, json=body)["extensions"]["code"] == code


def test_an_invoice_is_told_as_the_api_shows_it(notifying: Served, receiver: Receiver):
    notifying.ns.apps.update(notifying.shop.app.id, settings={"enable_draft_sync_hook": True})
    channel = a_channel(notifying, receiver.url)
    rules = [a_rule(notifying, channel, type) for type in ("invoice.created", "invoice.updated")]
    invoice_id = notifying.shop.submit()
    notifying.clock.advance(timedelta(minutes=1))
    body = {"invoicing": {"invoiceNumber": "ACME-1", "externalId": "ext-1"}}
    notifying.call("POST", f"/api/v1/apps/custom-invoicing/{invoice_id}/draft/synchronized", json=body, expect=204)
    send(notifying)
    told = [(each.json["type"], each.json["data"]["statusDetails"]["extendedStatus"]) for each in receiver.received]
    assert told[:5] == [
        ("invoice.updated", "draft.waiting_for_collection"),
        ("invoice.updated", "draft.collecting"),
        ("invoice.updated", "draft.validating"),
        ("invoice.updated", "draft.syncing"),
        ("invoice.created", "draft.syncing"),
    ]
    created, last = receiver.received[4].json["data"], receiver.received[-1].json["data"]
    assert (created["id"], created["number"]) == (invoice_id, "DRAFT-JADO-1")
    assert created["workflow"]["apps"]["invoicing"]["id"] == notifying.shop.app.id
    assert created["workflow"]["apps"]["invoicing"]["enableDraftSyncHook"] is True
    assert (last["number"], last["externalIds"]) == ("ACME-1", {"invoicing": "ext-1"})
    listed = notifying.call("GET", f"{EVENTS}?rule={rules[0]['id']}", expect=200).json()
    assert listed["totalCount"] == 1
    event = listed["items"][0]
    assert event["payload"] == receiver.received[4].json
    assert event["annotations"]["event.invoice.id"] == invoice_id
    assert event["rule"]["id"] == rules[0]["id"]
    status = event["deliveryStatus"][0]
    assert (status["state"], status["channel"]["id"], "nextAttempt" in status) == ("SUCCESS", channel["id"], False)
    assert status["attempts"][0]["response"]["statusCode"] == 204
    everything = notifying.call("GET", f"{EVENTS}?pageSize=1000&order=ASC&orderBy=id").json()["items"]
    assert [each["payload"] for each in everything] == [each.json for each in receiver.received]


def test_the_metrics_show_channels_that_are_due_and_receivers_that_fail(notifying: Served, receiver: Receiver):
    a_rule(notifying, a_channel(notifying, receiver.url))
    assert channels_in_metrics(notifying) == (0, 0)
    notifying.shop.submit()
    assert channels_in_metrics(notifying) == (1, 0)
    receiver.otherwise = 500
    send(notifying)
    assert channels_in_metrics(notifying) == (0, 1)
    receiver.otherwise = 204
    notifying.clock.advance(timedelta(days=1))
    assert channels_in_metrics(notifying) == (1, 1)
    send(notifying)
    assert channels_in_metrics(notifying) == (0, 0)


def channels_in_metrics(served: Served) -> tuple[float, float]:
    """How many are due, and how many fail."""
    figures = dict(line.rsplit(" ", 1) for line in served.http(None).get("/metrics").text.splitlines())
    due, failing = (figures[f"billhook_notification_channels_{each}"] for each in ("due", "failing"))
    return float(due), float(failing)


def test_events_are_filtered_as_the_document_says(notifying: Served, receiver: Receiver):
    channel = a_channel(notifying, receiver.url)
    rule = a_rule(notifying, channel)
    first = notifying.call("POST", f"{RULES}/{rule['id']}/test").json()
    notifying.clock.advance(timedelta(hours=1))
    second = notifying.call("POST", f"{RULES}/{rule['id']}/test").json()

    def ids(**query: Any) -> list[str]:
        response = notifying.call("GET", EVENTS, params=query, expect=200)
        return [event["id"] for event in response.json()["items"]]

    assert ids() == [second["id"], first["id"]]
    assert ids(order="ASC") == [first["id"], second["id"]]
    assert ids(**{"from": second["createdAt"]}) == [second["id"]]
    assert ids(to=first["createdAt"]) == [first["id"]]
    assert ids(rule=[rule["id"], STRANGER]) == [second["id"], first["id"]]
    assert ids(channel=STRANGER) == ids(feature="tokens") == ids(subject="jane") == []
    notifying.problem("GET", f"{EVENTS}?from=yesterday", 400)
    notifying.problem("GET", f"{EVENTS}?orderBy=state", 400)


def test_an_event_is_sent_once_more(notifying: Served, receiver: Receiver):
    channel = a_channel(notifying, receiver.url)
    rule = a_rule(notifying, channel)
    event = notifying.call("POST", f"{RULES}/{rule['id']}/test").json()
    send(notifying)
    path = f"{EVENTS}/{event['id']}"
    notifying.call("POST", f"{path}/resend", role="integrate", json={"channels": [channel["id"]]}, expect=202)
    assert notifying.call("GET", path).json()["deliveryStatus"][0]["state"] == "RESENDING"
    send(notifying)
    notifying.call("POST", f"{path}/resend", expect=202)
    send(notifying)
    assert receiver.ids == [event["id"]] * 3
    unknown = notifying.problem("POST", f"{path}/resend", 400, json={"channels": [STRANGER]})
    assert unknown["extensions"]["code"] == "channel_unknown"
    body = {"type": "WEBHOOK", "name": "Hook", "url": receiver.url, "disabled": True}
    notifying.call("PUT", f"{CHANNELS}/{channel['id']}", json=body, expect=200)
    closed = notifying.problem("POST", f"{path}/resend", 400, json={"channels": [channel["id"]]})
    assert closed["extensions"]["code"] == "channel_disabled"


def test_roles_and_namespaces_are_kept_apart(notifying: Served, receiver: Receiver):
    channel = a_channel(notifying, receiver.url)
    rule = a_rule(notifying, channel)
    event = notifying.call("POST", f"{RULES}/{rule['id']}/test").json()
    body = {"type": "WEBHOOK", "name": "Hook", "url": receiver.url}
    things = {
        f"{CHANNELS}/{channel['id']}": body,
        f"{RULES}/{rule['id']}": {**body, **rule, "channels": [channel["id"]]},
    }
    for path, content in things.items():
        for method in ("GET", "PUT", "DELETE"):
            options = {"json": content} if method == "PUT" else {}
            assert problem_of(notifying.http("elsewhere").request(method, path, **options))["status"] == 404
        for role in ("read", "integrate"):
            assert problem_of(notifying.http(role).request("DELETE", path))["status"] == 403
    assert problem_of(notifying.http("elsewhere").get(f"{EVENTS}/{event['id']}"))["status"] == 404
    assert problem_of(notifying.http("elsewhere").post(f"{EVENTS}/{event['id']}/resend"))["status"] == 404
    assert problem_of(notifying.http("read").post(f"{EVENTS}/{event['id']}/resend"))["status"] == 403
    for path in (CHANNELS, RULES, EVENTS):
        assert notifying.http("elsewhere").get(path).json()["totalCount"] == 0
    missing = notifying.http("admin").get(f"{CHANNELS}/{STRANGER}")
    assert problem_of(missing)["status"] == 404


def test_the_published_client_runs_every_method(notifying: Served, receiver: Receiver):
    client = notifying.openmeter
    # The client's models do not fill in the type.
    request = models.NotificationChannelWebhookCreateRequest(type="WEBHOOK", name="Hook", url=receiver.url)
    channel = client.notification_channels.create(request)
    assert client.notification_channels.get(channel["id"])["signingSecret"] == channel["signingSecret"]
    assert client.notification_channels.update(channel["id"], request)["id"] == channel["id"]
    assert client.notification_channels.list().total_count == 1
    wanted = models.NotificationRuleInvoiceCreatedCreateRequest(
        type="invoice.created", name="Created", channels=[channel["id"]]
    )
    rule = client.notification_rules.create(wanted)
    assert client.notification_rules.get(rule["id"])["name"] == "Created"
    assert client.notification_rules.update(rule["id"], wanted)["id"] == rule["id"]
    assert client.notification_rules.list().total_count == 1
    event = client.notification_rules.test(rule["id"])
    send(notifying)
    assert client.notification_events.get(event.id).delivery_status[0].state == "SUCCESS"
    assert client.notification_events.list().total_count == 1
    again = models.NotificationEventResendRequest(channels=[channel["id"]])
    assert client.notification_events.resend(event.id, again) is None
    send(notifying)
    assert receiver.ids == [event.id] * 2
    assert client.notification_rules.delete(rule["id"]) is None
    assert client.notification_channels.delete(channel["id"]) is None


def test_the_document_is_there_to_judge_by():
    if not is_here():
        pytest.skip("OpenMeter's documents are not beside this checkout, so nothing here was judged by them")

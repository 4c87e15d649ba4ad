"""What can never leave as it is: it ends visibly, and is not taken for bad weather."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from engine_kit import Shop, Wire, a_provider, arrives, careful_draft, documents, look_up, lost_after, put, repeat

from billhook.contract import Batch, Call, OperationRules, Outgoing, hookimpl, registered
from billhook.contract.requests import Function
from billhook.engine.effects import Transmission, Unsendable
from billhook.engine.transport import HttpTransport

OpenShop = Callable[..., Shop]


@pytest.fixture
def http() -> Iterator[HttpTransport]:
    transport = HttpTransport()
    yield transport
    transport.close()


def really(http: HttpTransport) -> Callable[[Wire, Outgoing], Transmission]:
    return lambda wire, request: http.send(request, 2)


UNSENDABLE = {
    "no scheme": {"url": "books/drafts"},
    "another scheme": {"url": "ftp://127.0.0.1/drafts"},
    "no host": {"url": "http:///drafts"},
    "a control character": {"url": "http://127.0.0.1:9/\x01"},
    "no such port": {"url": "http://127.0.0.1:99999/drafts"},
    "a host name that no name server takes": {"url": f"http://{'a' * 70}.test/drafts"},
    "a header beyond ASCII": {"headers": (("x-name", "Jané"),)},
    "a header of two lines": {"headers": (("x-name", "Jane\r\nhost: elsewhere"),)},
    "a header name with a space": {"headers": (("x name", "Jane"),)},
    "a method with a space": {"method": "PO ST"},
    "the length of another body": {"headers": (("Content-Length", "3"),)},
    "a coding of the transport's own": {"headers": (("transfer-encoding", "chunked"),)},
}


@pytest.mark.parametrize("changes", UNSENDABLE.values(), ids=UNSENDABLE.keys())
def test_what_http_cant_carry_ends_the_operation_and_says_why(
    a_shop: OpenShop, http: HttpTransport, changes: dict[str, Any]
):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, **changes)
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    shop.wire.otherwise = really(http)
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.sync_failed"
    [issue] = shop.get(id).issues
    assert issue.code == "request_unsendable"
    assert "Step 'put' can't be sent" in issue.message
    assert len(shop.wire.sent) == 1


def stumbles(self: Any, request: Outgoing, credentials: Any, now: Any) -> Outgoing:
    if b"poison" in request.body or request.method == "GET":
        raise KeyError("tenant")
    return request


def signed(**hooks: Any) -> Any:
    return a_provider(credentials=True, members={"authenticate": hookimpl(stumbles)}, **hooks)


def poisoned(self: Any, batch: Batch[Any, Any]) -> Any:
    poison = b"poison" if any(item.invoice.content.description == "poison" for item in batch.items) else b""
    plain = put("put", batch, recover=(look_up(self, batch),))
    reply = yield put("put", batch, recover=plain.recover, body=plain.body + b" " * 3 + poison)
    return documents(batch, reply)


def test_a_request_that_authenticate_cant_sign_stops_its_invoice_alone(a_shop: OpenShop):
    shop = a_shop(signed(sync_draft=poisoned, rules={"sync_draft": OperationRules(batch=10, atomic=False)}))
    ids = shop.ns.invoices.submit_many([shop.draft(description="poison" if n == 2 else None) for n in range(5)])
    shop.run()
    assert shop.status(ids[2]) == "draft.sync_failed"
    assert "authenticate failed: KeyError" in shop.get(ids[2]).issues[0].message
    assert {shop.status(id) for id in ids if id != ids[2]} == {"payment_processing.pending"}
    assert sorted(shop.books.references) == sorted(set(ids) - {ids[2]})


def test_a_look_up_that_cant_be_sent_leaves_its_invoice_in_doubt_and_says_why(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(look_up(self, batch),))
        return documents(batch, reply)

    shop = a_shop(signed(sync_draft=sync_draft))
    shop.wire.plan(lost_after)
    id = shop.submit()
    shop.run_for(600)
    doubt = shop.get(id).in_doubt
    assert doubt is not None
    assert "the look-up can't be sent: authenticate failed: KeyError" in doubt
    assert len(shop.books.references) == 1


def test_a_repeat_that_cant_be_sent_leaves_its_invoice_in_doubt(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(repeat(),))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    shop.wire.plan(lost_after, lambda wire, request: Unsendable("the host name is gone"))
    id = shop.submit()
    shop.run_for(600)
    assert shop.get(id).in_doubt is not None
    assert len(shop.books.references) == 1


def test_a_call_of_a_function_that_is_not_registered_ends_visibly(a_shop: OpenShop):
    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        name = "no_such_function"
        reply = yield Call("call", Function(name))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.sync_failed"
    assert "no_such_function" in shop.get(id).issues[0].message


def test_a_call_of_a_function_that_takes_something_else_did_nothing_and_says_how_to_write_it(a_shop: OpenShop):
    def without_credentials(self: Any, ref: str) -> Any:
        return {}

    def sync_draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield Call("call", self.function("draw", ref=batch.only.id))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=sync_draft, members={"draw": registered(without_credentials)}))
    id = shop.submit()
    shop.run()
    assert shop.status(id) == "draft.sync_failed"
    assert "Define it as draw(self, credentials, ref)" in shop.get(id).issues[0].message


def test_what_cant_be_sent_opens_no_circuit(a_shop: OpenShop):
    shop = a_shop(a_provider(sync_draft=careful_draft))
    shop.wire.plan(*[lambda wire, request: Unsendable("no scheme")] * 20)
    refused = [shop.submit() for _ in range(20)]
    shop.run()
    shop.wire.otherwise = arrives
    good = shop.submit()
    shop.run()
    assert {shop.status(id) for id in refused} == {"draft.sync_failed"}
    assert shop.status(good) == "payment_processing.pending"


def test_a_header_that_cant_be_carried_is_named_without_its_value(http: HttpTransport):
    came = http.send(Outgoing("GET", "http://127.0.0.1:9/", (("authorization", "Bearer sécret"),), b""), 1)
    assert isinstance(came, Unsendable)
    assert "authorization" in came.reason
    assert "cret" not in came.reason


def test_an_address_that_cant_be_reached_is_named_without_its_query(http: HttpTransport):
    came = http.send(Outgoing("GET", "ftp://books/drafts?api_key=secret", (), b""), 1)
    assert isinstance(came, Unsendable)
    assert "ftp" in came.reason
    assert "secret" not in came.reason

"""What was sent and answered, line by line, for whoever looks into it; and no secret in any line."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from engine_kit import (
    NOON,
    BooksToken,
    Shop,
    a_provider,
    answers,
    bearer,
    careful_draft,
    documents,
    fresh_token,
    look_up,
    lost_after,
    lost_before,
    put,
    repeat,
)
from pydantic import SecretStr

from billhook.contract import Batch, Call, Capability, CustomerResult, Done, hookimpl, registered
from billhook.contract.requests import Outgoing, Reply, Request
from billhook.engine.effects import Arrived
from billhook.engine.wire_log import Exchange, WireLog

KEYS = (
    *("at", "provider", "app", "operation", "step", "attempt", "invoices"),
    *("method", "url", "headers", "body", "status", "reply"),
)
OpenShop = Callable[..., Shop]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[WireLog]:
    opened = WireLog(tmp_path / "records")
    yield opened
    opened.close()


def lines(log: WireLog) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def tokened(**hooks: Any) -> Any:
    given = {"sync_draft": careful_draft, "refresh_credentials": fresh_token, **hooks}
    return a_provider(credentials=True, members={"authenticate": hookimpl(bearer)}, **given)


def test_each_request_and_its_answer_is_a_line_with_what_it_was_for(a_shop: OpenShop, log: WireLog):
    shop = a_shop(tokened(), wire_log=log)
    id = shop.submit()
    shop.run()
    (line,) = lines(log)
    (sent,) = shop.wire.sent
    assert tuple(line) == KEYS
    assert line | {"headers": None} == {
        "at": NOON.isoformat(),
        "provider": "books",
        "app": shop.app.id,
        "operation": "sync_draft",
        "step": "put",
        "attempt": 1,
        "invoices": [id],
        "method": "POST",
        "url": sent.url,
        "headers": None,
        "body": sent.body.decode(),
        "status": 200,
        "reply": json.dumps({"items": [{"ref": id, "id": "drafts-1"}]}, separators=(",", ":")),
    }
    assert line["headers"]["authorization"] == "[secret]"
    assert line["headers"]["idempotency-key"] == shop.wire.keys()[0]


def test_a_lost_answer_its_look_up_and_a_repeat_are_lines_of_their_own(a_shop: OpenShop, log: WireLog):
    def draft(self: Any, batch: Batch[Any, Any]) -> Any:
        reply = yield put("put", batch, recover=(look_up(self, batch), repeat()))
        return documents(batch, reply)

    shop = a_shop(a_provider(sync_draft=draft), wire_log=log)
    shop.wire.plan(lost_before)
    shop.submit()
    shop.run_for(600)
    told = [(line["step"], line["attempt"], line["status"], line.get("error")) for line in lines(log)]
    assert told == [("put", 1, None, "the connection broke"), ("look", 1, 200, None), ("put", 2, 200, None)]
    assert lines(log)[0]["reply"] is None


def test_tokens_are_in_no_line_neither_the_old_nor_the_new(a_shop: OpenShop, log: WireLog):
    shop = a_shop(tokened(), ready=False, wire_log=log)
    shop.a_profile(shop.an_app(credentials={"token": "old-sesame"}))
    shop.ns.customers.create("Jane Doe", key="jane")
    shop.wire.plan(answers(401, {"error": "old-sesame is no good"}), to="drafts")
    shop.wire.plan(answers(200, {"token": "new-sesame"}), to="token")
    shop.submit()
    shop.run()
    told = [(line["operation"], line["status"], line["invoices"] != []) for line in lines(log)]
    assert told == [("sync_draft", 401, True), ("refresh_credentials", 200, False), ("sync_draft", 200, True)]
    refresh = lines(log)[1]
    assert (refresh["body"], refresh["reply"]) == ("[secret]", "[secret]")
    assert "sesame" not in log.path.read_text()
    assert "is no good" in log.path.read_text()


def test_a_call_of_an_sdk_is_a_line_too(a_shop: OpenShop, log: WireLog):
    def sync(self: Any, batch: Batch[Any, Any]) -> Any:
        yield Call("make", self.function("sdk", who="Jane"))
        return {batch.only.id: Done(CustomerResult("customer-1"))}

    def sdk(self: Any, credentials: Any, who: str) -> Any:
        return {"made": who}

    provider = a_provider(sync_customer=sync, sync_draft=careful_draft, members={"sdk": registered(sdk)})
    shop = a_shop(provider, wire_log=log)
    shop.submit()
    shop.run()
    line = next(line for line in lines(log) if line["operation"] == "sync_customer")
    assert (line["method"], line["url"], line["body"]) == ("CALL", "sdk", '{"who":"Jane"}')
    assert (line["invoices"], line["reply"]) == ([], '{"made":"Jane"}')


def an_exchange(body: bytes, answer: bytes, **changes: Any) -> Exchange:
    request = Request("step", "POST", "http://books/x?at=1", body=body)
    signed = Outgoing("POST", request.url, (("x-own", "computed from a secret"),), body)
    usual: dict[str, Any] = {
        "at": NOON,
        "provider": "books",
        "app_id": "app",
        "operation": Capability.SYNC_DRAFT,
        "step": request,
        "key": None,
        "attempt": 1,
        "invoices": ("invoice",),
        "signed": signed,
        "came": Arrived(Reply(200, (), answer)),
    }
    return Exchange(**{**usual, **changes})


@pytest.mark.parametrize("secret", ["sesame open", 'ses"ame', "ses/ame+1", "sésame", "back\\slash"])
def test_a_secret_is_found_however_it_is_written(log: WireLog, secret: str):
    forms = [secret, json.dumps(secret), json.dumps({"in": json.dumps(secret)}), quote(secret), quote_plus(secret)]
    for form in forms:
        log.note(an_exchange(form.encode(), form.encode()), BooksToken(token=SecretStr(secret)))
    text = log.path.read_text()
    assert all(line["body"] is not None for line in lines(log))
    assert text.count("[secret]") == 3 * len(forms)
    for spelling in {secret, quote(secret), quote_plus(secret), json.dumps(secret)[1:-1]}:
        assert spelling not in text


def test_secrets_that_a_provider_makes_are_told_by_their_names(log: WireLog):
    answer = {"id": "pi_1", "client_secret": "pi_1_secret_x", "access_token": "made-now", "status": "ok"}
    log.note(an_exchange(b"", json.dumps(answer).encode()), None)
    (line,) = lines(log)
    assert json.loads(line["reply"]) == {**answer, "client_secret": "[secret]", "access_token": "[secret]"}


def test_what_is_no_text_is_kept_all_the_same(log: WireLog):
    log.note(an_exchange(b"\xff\x00", b""), None)
    assert (lines(log)[0]["body"], lines(log)[0]["reply"]) == ("base64:/wA=", None)


def test_lines_stay_whole_when_many_write_at_once(tmp_path: Path):
    logs = [WireLog(tmp_path), WireLog(tmp_path)]
    long = b"x" * 20_000

    def write(log: WireLog) -> None:
        for _ in range(50):
            log.note(an_exchange(long, long), None)

    threads = [threading.Thread(target=write, args=(log,)) for log in logs for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line["body"] == line["reply"] == long.decode() for line in lines(logs[0])] == [True] * 400
    for log in logs:
        log.close()


def test_a_log_goes_on_where_it_was_and_its_owner_alone_reads_it(tmp_path: Path):
    for _ in range(2):
        log = WireLog(tmp_path / "records")
        log.note(an_exchange(b"", b""), None)
        log.close()
    assert len(lines(log)) == 2
    assert stat.S_IMODE(log.path.stat().st_mode) == 0o600


def test_a_repeat_after_a_lost_answer_counts_on(a_shop: OpenShop, log: WireLog):
    shop = a_shop(a_provider(sync_draft=careful_draft), wire_log=log)
    shop.wire.plan(lost_after)
    shop.submit()
    shop.run_for(timedelta(minutes=10).total_seconds())
    assert [(line["attempt"], line["status"]) for line in lines(log)] == [(1, None), (2, 200)]

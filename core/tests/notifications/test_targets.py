"""Where notifications may go, and that nobody talks us into going elsewhere."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any

import pytest
from receiving import Receiver

from billhook.engine.notifications.courier import WebCourier
from billhook.engine.notifications.targets import Targets, is_public
from billhook.errors import InvalidInput

OpenTelling = Callable[..., Any]
PUBLIC = "93.184.216.34"


def resolving(*addresses: str) -> Callable[[str, int], list[str]]:
    return lambda host, port: list(addresses)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
def test_private_addresses_are_known_however_they_are_written(address: str):
    assert not is_public(address)
    with pytest.raises(InvalidInput) as refused:
        Targets(resolve=resolving(PUBLIC, address)).check("https://receiver.example/hook")
    assert (refused.value.code, refused.value.path) == ("webhook_url_invalid", "/url")


@pytest.mark.parametrize("address", [PUBLIC, "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"])
def test_public_addresses_pass(address: str):
    assert is_public(address)
    assert Targets(resolve=resolving(address)).check("https://receiver.example:8443/hook?key=1")


@pytest.mark.parametrize(
    "url",
    [
        "http://receiver.example/hook",
        "ftp://receiver.example/hook",
        "file:///etc/passwd",
        "https://",
        "https:///hook",
        "receiver.example/hook",
        "https://user:password@receiver.example/hook",
        "https://receiver.example/hook#part",
        "https://receiver.example:22/hook",
        "https://receiver.example:0/hook",
        "https://receiver.example:70000/hook",
        "https://receiver.example/ho ok",
        "https://receiver.example/ho\r\nHost: other",
        "https://receiver.example/\u00fc",
        "https://[::1/hook",
        "https://receiver.example/" + "a" * 3_000,
    ],
)
def test_addresses_that_no_webhook_has_are_refused(url: str):
    with pytest.raises(InvalidInput) as refused:
        Targets(resolve=resolving(PUBLIC)).check(url)
    assert refused.value.code == "webhook_url_invalid"
    assert "password" not in str(refused.value).replace("a user or a password", "")


def test_a_channel_for_a_private_address_is_not_stored(telling: OpenTelling):
    told = telling(targets=Targets(allow_private=True))
    told.shop.restart(targets=Targets())
    for url in (told.receiver.url, "https://127.0.0.1:8443/hook", "https://localhost:8443/hook"):
        with pytest.raises(InvalidInput, match="can be sent to this address"):
            told.notifications.channels.create("Hook", url)
        with pytest.raises(InvalidInput, match="can be sent to this address"):
            told.notifications.channels.update(told.channel.id, url=url)
    assert told.notifications.channels.list().total_count == 1


def test_a_name_that_nobody_knows_now_may_be_stored():
    def unknown(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    assert Targets(resolve=unknown).check("https://receiver.example/hook")


def test_a_name_that_leads_inside_later_is_not_followed(receiver: Receiver):
    answers = [["127.0.0.1"]]
    rebound = Targets(resolve=lambda host, port: answers.pop(0))
    courier = WebCourier(rebound, monotonic)
    port = receiver.url.rpartition(":")[2]
    answer = courier.post(f"https://receiver.example:{port}", (), b"{}")
    assert answer.status_code is None
    assert "not on the public internet" in answer.body
    assert receiver.received == []
    courier.close()


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(receiver: Receiver):
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    courier = WebCourier(Targets(allow_private=True, resolve=resolve), monotonic)
    port_and_path = receiver.url.rpartition(":")[2]
    answer = courier.post(f"http://receiver.example:{port_and_path}", (), b"{}")
    assert answer.status_code == 204
    assert asked == ["receiver.example"]
    assert receiver.received[0].headers["host"].startswith("receiver.example")
    courier.close()


def test_an_answer_that_drips_is_cut_off_in_time():
    """Each byte comes quickly, the whole never."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def drip() -> None:
        connection, _ = server.accept()
        with connection, suppress(OSError):
            while not done.wait(0.02):
                connection.sendall(b"H")

    thread = threading.Thread(target=drip, daemon=True)
    thread.start()
    courier = WebCourier(Targets(allow_private=True), monotonic, limit=timedelta(seconds=0.3))
    answer = courier.post(f"http://127.0.0.1:{server.getsockname()[1]}/", (), b"{}")
    assert (answer.status_code, answer.body) == (None, "nothing within 0.3 seconds")
    courier.close()
    done.set()
    thread.join()
    server.close()


def test_a_long_answer_is_kept_short_and_fit_for_any_store(receiver: Receiver):
    receiver.otherwise, receiver.body = 500, b"\x00\xff" + b"a" * 200_000
    courier = WebCourier(Targets(allow_private=True), monotonic)
    answer = courier.post(receiver.url, (), b"{}")
    assert (answer.status_code, len(answer.body)) == (500, 1_000)
    assert "\x00" not in answer.body
    courier.close()


def test_a_certificate_of_another_name_is_refused(receiver: Receiver):
    courier = WebCourier(Targets(allow_private=True), monotonic, tls=ssl.create_default_context())
    answer = courier.post(receiver.url.replace("http://", "https://"), (), b"{}")
    assert answer.status_code is None
    assert receiver.received == []
    courier.close()

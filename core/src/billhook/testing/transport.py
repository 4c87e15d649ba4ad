"""Simulators in place of a network: what an engine sends is answered in the same process, without a socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

from billhook.contract.requests import Outgoing, Reply
from billhook.engine.effects import Arrived, Lost, NotSent, Transmission, Unsendable
from billhook.engine.transport import refuse_unsendable
from billhook.testing.simulator.messages import ConnectionRefused, Dropped, SimReply, SimRequest


class Answering(Protocol):
    """What a transport asks of a simulator."""

    def handle(self, request: SimRequest) -> SimReply:
        """Its answer. Raises Dropped where the connection closes without one."""
        ...


class SimulatorTransport:
    """Sends to simulators by the origin of their address, such as ``http://sandbox.test``.

    An answer that would come later than the time allowed is lost at once; nobody's clock is turned. Safe between threads.
    """

    def __init__(self, simulators: Mapping[str, Answering]) -> None:
        self._simulators = {_origin(url): simulator for url, simulator in simulators.items()}

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        """What became of it."""
        try:
            refuse_unsendable(request)
        except ValueError as error:
            return Unsendable(str(error))
        simulator = self._simulators.get(_origin(request.url))
        if simulator is None:
            return NotSent(f"nobody listens at {_origin(request.url)}")
        try:
            reply = simulator.handle(SimRequest.from_url(request.method, request.url, request.headers, request.body))
        except ConnectionRefused as refused:
            return NotSent(str(refused))
        except Dropped as dropped:
            return Lost(str(dropped))
        if reply.after_seconds >= timeout_seconds:
            return Lost(f"no answer within {timeout_seconds:g} seconds")
        return Arrived(Reply(reply.status, reply.headers, reply.body))

    def close(self) -> None:
        """Nothing is open. The simulators belong to whoever made them."""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"

"""The providers' side of the demo: simulators over real HTTP on this machine, reached by names that outlive their ports."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from billhook.contract import Outgoing
from billhook.engine.effects import Transmission
from billhook.engine.transport import HttpTransport
from billhook.testing.simulator import Connection, Pairs, Simulator
from billhook.testing.simulator.books import BookedDocument
from billhook.testing.simulator.http import Served
from billhook.testing.simulator.installed import simulator_of

Post = Callable[[Pairs, bytes], int]


class Outside:
    """The simulators that run, by provider type."""

    def __init__(self, served: Mapping[str, Served]) -> None:
        self._served = served

    def simulator(self, type: str) -> Simulator:
        """One provider's simulator."""
        return self._served[type].simulator

    def connection(self, type: str) -> Connection:
        """What an app is installed with to reach it."""
        return self.simulator(type).connection(address_of(type))

    def transport(self) -> NamedTransport:
        """Sends to the simulators, wherever they listen now."""
        return NamedTransport({address_of(type): served.url for type, served in self._served.items()})

    def documents(self, type: str) -> Sequence[BookedDocument]:
        """What one provider's books hold as issued."""
        return [document for document in self.simulator(type).documents() if document.is_issued]

    def total(self, type: str, currency: str) -> Decimal:
        """What was issued there, less what was credited."""
        return self.simulator(type).totals().get(currency, Decimal(0))

    def count_duplicates(self) -> int:
        """How many references stand for more than one thing, anywhere."""
        return sum(len(served.simulator.duplicates()) for served in self._served.values())

    def count_calls(self) -> int:
        """How many requests reached any of them."""
        return sum(served.simulator.count_calls() for served in self._served.values())

    def deliver(self, type: str, post: Post) -> None:
        """Hand over what one provider has to tell."""
        self.simulator(type).deliver_webhooks(post)


class NamedTransport:
    """Sends to a name, wherever that listens now.

    What was frozen before a kill is sent again byte for byte, its address included, while the simulator has another port by then. So the
    address is a name, and this resolves it.
    """

    def __init__(self, addresses: Mapping[str, str]) -> None:
        self._addresses = addresses
        # A proxy that the environment names could not reach this machine's loopback.
        self._http = HttpTransport(httpx.Client(trust_env=False))

    def send(self, request: Outgoing, timeout_seconds: float) -> Transmission:
        """What became of the request."""
        parts = urlsplit(request.url)
        name = f"{parts.scheme}://{parts.netloc}"
        url = self._addresses.get(name, name) + request.url.removeprefix(name)
        return self._http.send(replace(request, url=url), timeout_seconds)

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()


def address_of(type: str) -> str:
    """The address by which an app knows that provider's simulator."""
    return f"http://{type.replace('_', '-')}.localhost"


def ledgers_at(path: Path, types: Sequence[str]) -> dict[str, Path]:
    """A file for each provider's books: in the folder that ``path`` names, made if absent, or that file for the first and others beside it."""
    if path.is_dir() or (not path.suffix and not path.exists()):
        path.mkdir(parents=True, exist_ok=True)
        return {type: path / f"{type}.db" for type in types}
    first, *others = types
    return {first: path} | {type: path.with_name(f"{path.stem}-{type}{path.suffix}") for type in others}


@contextmanager
def serving(ledgers: Mapping[str, Path], currency: str) -> Iterator[Outside]:
    """The simulators of these providers with their books in these files, served until the block ends."""
    with ExitStack() as stack:
        served = {}
        for type, ledger in ledgers.items():
            simulator = simulator_of(type)(ledger, hurried=True, currency=currency)
            stack.callback(simulator.close)
            served[type] = stack.enter_context(simulator.serve())
        yield Outside(served)

"""The engine's door: open a database, reach a namespace, run the work."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pydantic import PositiveInt

from billhook.clock import Clock, SystemClock
from billhook.contract.results import ConnectionResult
from billhook.domain.usage import UsageSource
from billhook.engine import leases
from billhook.engine.apps import NO_OVERRIDES, Apps
from billhook.engine.arguments import checked
from billhook.engine.callback_queue import CallbackQueue
from billhook.engine.checking import check_connection
from billhook.engine.commands import Commands
from billhook.engine.connections import Connections
from billhook.engine.context import Context, Policy, Randomness
from billhook.engine.credential_keys import keys_for
from billhook.engine.credentials import Credentials
from billhook.engine.documents import StoredDocuments
from billhook.engine.namespace import DEFAULT_NAMESPACE, BoundNamespace, Namespace
from billhook.engine.notifications.dispatcher import Dispatcher, Sent
from billhook.engine.notifications.outgoing import Outgoing, Render
from billhook.engine.notifications.running import RunningDispatcher
from billhook.engine.notifications.targets import Targets
from billhook.engine.numbers import Numbers
from billhook.engine.prune import Pruner, PruneResult
from billhook.engine.renewal import Renewals
from billhook.engine.running import RunningWorker
from billhook.engine.sending import InlineSenders, Landing, Sender, Senders, ThreadSenders
from billhook.engine.settle import Settler
from billhook.engine.telemetry import Telemetry
from billhook.engine.tokens import Tokens
from billhook.engine.transport import HttpTransport, Transport
from billhook.engine.usage import UsageSnapshots
from billhook.engine.webhooks import Webhooks
from billhook.engine.wire_log import WireLog
from billhook.engine.worker import Worker
from billhook.errors import InvalidInput
from billhook.faults import NO_FAULTS, Faults
from billhook.plugins.catalog import ProviderCatalog
from billhook.plugins.observers import Observers
from billhook.store import migrate
from billhook.store.database import Database

SEND_THREADS = 16
IDLE_SECONDS = 1.0
NOTIFY_THREADS = 32
PUBLIC_TARGETS = Targets()


@dataclass(frozen=True, slots=True)
class Rotation:
    """How many credentials are stored, how many were encrypted anew, and where the keys come from."""

    credentials: int
    changed: int
    keys: str


@checked
class Engine:
    """An open engine. Everything it depends on is passed in; two engines in one process share nothing.

    Thread-safe: commands may come from any thread. Close it, or use it as a context manager.
    """

    def __init__(
        self,
        database: Database,
        *,
        catalog: ProviderCatalog,
        clock: Clock,
        transport: Transport,
        faults: Faults = NO_FAULTS,
        policy: Policy | None = None,
        overrides: Mapping[str, Sequence[object]] = NO_OVERRIDES,
        observers: Observers | None = None,
        telemetry: Telemetry | None = None,
        usage: UsageSource | None = None,
        randomness: Randomness = secrets.token_bytes,
        credential_keys: Sequence[str] = (),
        wire_log: WireLog | None = None,
        targets: Targets = PUBLIC_TARGETS,
    ) -> None:
        self.catalog = catalog
        self.usage = usage
        self.context = Context(
            database=database,
            clock=clock,
            apps=Apps(catalog, overrides),
            documents=StoredDocuments(),
            observers=observers or Observers(),
            telemetry=telemetry or Telemetry(),
            faults=faults,
            credential_keys=keys_for(database, credential_keys, os.environ),
            policy=policy or Policy(),
            randomness=randomness,
            targets=targets,
        )
        self.numbers = Numbers(self.context)
        self.settler = Settler(self.numbers)
        self.credentials = Credentials(clock, self.context.credential_keys)
        self.transport = transport
        self._wire_log = wire_log
        self.connections = Connections(self.context, transport, wire_log)
        self.usage_snapshots = UsageSnapshots(self.context, usage)
        self.tokens = Tokens(self.context)
        self.callback_queue = CallbackQueue(self.context)
        self._commands = Commands(self.settler)
        self._webhooks = Webhooks(self.context, self.credentials)

    @classmethod
    def open(
        cls,
        url: str | Path,
        *,
        create: bool = True,
        upgrade: bool = True,
        clock: Clock | None = None,
        catalog: ProviderCatalog | None = None,
        transport: Transport | None = None,
        faults: Faults = NO_FAULTS,
        policy: Policy | None = None,
        overrides: Mapping[str, Sequence[object]] = NO_OVERRIDES,
        observers: Observers | None = None,
        telemetry: Telemetry | None = None,
        usage: UsageSource | None = None,
        randomness: Randomness = secrets.token_bytes,
        credential_keys: Sequence[str] = (),
        wire_log: WireLog | None = None,
        targets: Targets = PUBLIC_TARGETS,
    ) -> Self:
        """Open the database at a file path, ``sqlite:///path`` or ``postgresql://...``, and bring its schema up to date.

        ``overrides`` are the host's pure hooks, by app type or app id; ``observers`` are told what happened; ``usage`` answers for metered
        lines. ``credential_keys`` encrypt the credentials of apps, the first for new ones; where none is given, those of the environment
        variable BILLHOOK_CREDENTIAL_KEYS do, or those in the file that is made beside a SQLite database. ``wire_log`` keeps what is
        sent and answered; whoever made it closes it. ``targets`` says where notifications may go. Raises StoreError when the database can't be opened.
        """
        chosen_clock = clock or SystemClock()
        database = Database.open(url, clock=chosen_clock, faults=faults, create=create)
        if upgrade:
            migrate.upgrade(database)
        return cls(
            database,
            catalog=catalog or ProviderCatalog(),
            clock=chosen_clock,
            transport=transport or HttpTransport(),
            faults=faults,
            policy=policy,
            overrides=overrides,
            observers=observers,
            telemetry=telemetry,
            usage=usage,
            randomness=randomness,
            credential_keys=credential_keys,
            wire_log=wire_log,
            targets=targets,
        )

    @property
    def database(self) -> Database:
        """The store."""
        return self.context.database

    def namespace(self, name: str = DEFAULT_NAMESPACE) -> Namespace:
        """One tenant's world. Raises InvalidInput for a name that is no text."""
        return Namespace(self, _named(name))

    @contextmanager
    def bind(self, connection: object, namespace: str = DEFAULT_NAMESPACE) -> Iterator[BoundNamespace]:
        """Take part in a host's own transaction, on its SQLAlchemy, sqlite3 or psycopg connection.

        What is submitted here is stored when the host commits and gone when it rolls back. No final number is taken: invoices stop at
        ``draft.ready_to_issue`` and go on after commit. A connection to another database is refused. Call ``wake`` with it after the
        commit, or leave it to the sweep.
        """
        with self.database.bind(connection) as tx:
            yield BoundNamespace(self, _named(namespace), tx)

    def wake(self, committed: BoundNamespace | None = None) -> None:
        """Something may be due: tell the worker. After a host's commit give what was bound, so that observers hear of it too."""
        for act in committed.transaction.callbacks if committed is not None else ():
            act()
        self.context.wakeups.wake()

    def receive_webhook(self, app_id: str, headers: Mapping[str, str], body: bytes) -> int:
        """Take a provider's webhook, as received. Returns how many new events it held.

        Raises WebhookRefused, with nothing stored, for a bad signature; NotFound for an unknown app.
        """
        return self._webhooks.receive(app_id, headers, body)

    def orphaned_events(self, namespace: str = DEFAULT_NAMESPACE) -> tuple[Mapping[str, Any], ...]:
        """Webhook events that name something nobody here knows."""
        return self._webhooks.orphans(namespace)

    def check_connection(self, app_id: str) -> ConnectionResult:
        """Whether an app's credentials work, and which accounts they reach. Raises ConfigError with the reason when they don't."""
        return check_connection(self.context, self.connections, self.credentials, app_id)

    def rotate_credentials(self) -> Rotation:
        """Encrypt every app's credentials with the newest key. Workers may go on meanwhile; doing it again is fine.

        Keys in the file beside a SQLite database get a fresh one in front, and the older ones stay, because backups need them. Keys that
        were given are used as they are: put the new one in front first. Raises CredentialKeyError.
        """
        ring = self.context.credential_keys.renew()
        stored, changed = self.database.write(self.credentials.reseal)
        return Rotation(stored, changed, ring.source)

    def prune(self, older_than: timedelta) -> PruneResult:
        """Compress and drop journal bodies of settled operations; hashes and evidence stay."""
        return Pruner(self.context).prune(older_than)

    # Running.

    def run_until_idle(self, *, senders: Senders[Landing] | None = None, at_most: PositiveInt | None = None) -> int:
        """Work in this thread until nothing is due now. Returns how many rounds did something."""
        worker = self.new_worker(senders or InlineSenders())
        with self.database.liveness.claim(worker.owner):
            rounds = _until_idle(worker, at_most)
            worker.give_back()
        return rounds

    def worker(self, *, threads: PositiveInt = SEND_THREADS) -> RunningWorker:
        """A worker in threads of its own, as a context manager: it works from ``with`` to the end of the block."""
        return RunningWorker(self.context, lambda: self.new_worker(ThreadSenders(threads)))

    def dispatcher(self, render: Render, *, threads: PositiveInt = NOTIFY_THREADS) -> RunningDispatcher:
        """Sends notifications in threads of its own, as a context manager. ``render`` writes an invoice as receivers read it."""
        return RunningDispatcher(
            self.context, lambda: self.new_dispatcher(render, ThreadSenders[Sent](threads), threads)
        )

    def notify_until_idle(self, render: Render, *, at_most: PositiveInt | None = None) -> int:
        """Send notifications in this thread until none is due now. Returns how many rounds did something."""
        rounds = 0
        with (
            closing(self.new_dispatcher(render, InlineSenders[Sent](), 1)) as dispatcher,
            self.database.liveness.claim(dispatcher.owner),
        ):
            while (at_most is None or rounds < at_most) and dispatcher.tick():
                rounds += 1
            dispatcher.give_back()
        return rounds

    def next_due(self, owner: str | None = None) -> datetime | None:
        """When something is due next in this database, None when nothing is. What nobody may call now is not due; nor is what nobody asked
        for, such as a look at an invoice that is owed: that is done by whoever works then.

        For the worker ``owner`` what another worker holds is not due either.
        """
        with self.database.read() as tx:
            return leases.next_due_of_any(tx, owner, unasked=False)

    def new_worker(self, senders: Senders[Landing]) -> Worker:
        """A worker that sends by these, for whoever drives it round by round, in one thread, while its owner is claimed to be alive."""
        with self.database.read() as tx:
            self.credentials.check_keys(tx)
        owner = self.context.new_id(self.context.clock.now())
        return Worker(
            self.context,
            self.settler,
            self.numbers,
            self.credentials,
            Renewals(self.context, self.connections, self.credentials, owner),
            senders,
            Sender(self.context, self.transport, self._wire_log),
            self._commands.apply_recorded,
            self.usage_snapshots,
            owner,
        )

    def new_dispatcher(self, render: Render, senders: Senders[Sent], width: int) -> Dispatcher:
        """A dispatcher with at most ``width`` requests under way, to be driven as a worker is. Close it."""
        # Here alone, so that nobody who sends no notification waits for the HTTP library.
        from billhook.engine.notifications.courier import WebCourier

        context = self.context
        courier = WebCourier(context.targets, context.clock.monotonic)
        owner = context.new_id(context.clock.now())
        return Dispatcher(context, Outgoing(context, self.credentials, render), courier, senders, owner, width)

    def close(self) -> None:
        """Let go of the database and of connections."""
        self.database.close()
        self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _named(namespace: str) -> str:
    if not namespace:
        raise InvalidInput("namespace_invalid", "A namespace has a name. Give a key of the tenant.", "/namespace")
    return namespace


def _until_idle(worker: Worker, at_most: int | None) -> int:
    rounds = 0
    while worker.tick(wait_seconds=IDLE_SECONDS) or worker.in_flight:
        rounds += 1
        if at_most is not None and rounds >= at_most:
            break
    return rounds

"""Gold: the whole engine bills through the provider, over a real socket, with two workers, and with webhooks out of order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta

import sqlalchemy as sa

from billhook.contract import Capability
from billhook.engine.telling import secret_values
from billhook.store import schema
from billhook.testing.kit.check import Check, Exempt, Failed, Passed, Tier, Verdict
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.rules import Rule
from billhook.testing.kit.trying import tried
from billhook.testing.kit.world import World, a_world

C = Capability
_A_MINUTE = timedelta(minutes=1)
PAID = ("paid", "payment_processing.pending", "payment_processing.action_required")
ENCRYPTED = "billhook_credential"


def a_story_adds_up_over_http(examination: Examination) -> Verdict:
    """What a real engine with two workers bills, credits, voids and gives back, over a real socket, ends as it should."""

    def story() -> str | None:
        with a_world(examination.subject, seed=examination.seed, over_http=True, engines=2) as world:
            return _told_to_its_end(world)

    return tried("every invoice ends paid or payable, and nothing stands there twice", "story", [story])


def _told_to_its_end(world: World) -> str | None:
    ids = world.tell()
    for invoice_id in ids:
        details = world.billing.invoices.get(invoice_id)
        if details.status not in PAID:
            issues = "; ".join(issue.message for issue in details.issues)
            return f"an invoice ends {details.status}: {issues or details.in_doubt or 'it waits'}"
    return "; ".join([*world.tell_the_rest(ids[0]), *world.problems()]) or None


def _in_process(examination: Examination) -> AbstractContextManager[World]:
    """A world without a socket, where the provider needs none."""
    return a_world(examination.subject, seed=examination.seed, over_http=examination.sends_by_itself)


def webhooks_count_once_in_any_order(examination: Examination) -> Verdict:
    """Webhooks that come twice, and the newest first, count once and change nothing that is settled."""
    return tried("each event counts once", "story", [lambda: _delivered(examination)])


def _delivered(examination: Examination) -> str | None:
    with _in_process(examination) as world:
        ids = world.tell()
        events = len(world.books.pending_webhooks())
        before = [world.billing.invoices.get(invoice_id).status for invoice_id in ids]
        for fault in ("duplicate_delivery", "reordered_delivery"):
            world.books.fault(fault)
        waiting = world.books.pending_webhooks()
        first = sum(world.engines[0].receive_webhook(world.app.id, dict(headers), body) for headers, body in waiting)
        world.clock.advance(_A_MINUTE)
        again = world.deliver() + world.deliver()
        world.work()
        after = [world.billing.invoices.get(invoice_id).status for invoice_id in ids]
        if again:
            return f"of {events} webhooks with {first} events {again} count again when they are delivered again"
        return None if before == after or set(after) <= set(PAID) else f"invoices went from {before} to {after}"


def no_secret_is_stored(examination: Examination) -> Verdict:
    """After a story no credential stands in the database, but for the encrypted row of its own."""
    with _in_process(examination) as world:
        world.tell()
        world.deliver()
        world.work()
        with examination.bench() as bench:
            secrets = sorted(set(secret_values(bench.credentials)), key=len)
        if not secrets:
            return Exempt("it takes no credentials")
        for table, text in _stored(world):
            for secret in secrets:
                if secret in text:
                    return Failed("credentials stand nowhere but in their own row", f"one stands in {table}")
    return Passed(len(secrets), "secret")


def _stored(world: World) -> Iterator[tuple[str, str]]:
    with world.engines[0].database.read() as tx:
        for table in schema.metadata.sorted_tables:
            if table.name != ENCRYPTED:
                yield table.name, "\n".join(str(row) for row in tx.all(sa.select(table)))


def _check(rule: Rule, run: Callable[[Examination], Verdict], *needs: Capability) -> Check:
    return Check(run.__name__, Tier.GOLD, rule, (run.__doc__ or "").splitlines()[0], run, needs)


CHECKS: tuple[Check, ...] = (
    _check(Rule.EXACT, a_story_adds_up_over_http),
    _check(Rule.EVENTS, webhooks_count_once_in_any_order, C.READ_WEBHOOK),
    _check(Rule.NO_CREDENTIALS, no_secret_is_stored),
)

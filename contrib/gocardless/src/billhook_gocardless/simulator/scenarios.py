"""What a tester makes happen, by the vendor's own names. [sdk: ScenarioSimulatorsService.run]

A scenario moves a thing along its path, through every status and event in between. The vendor's start at the beginning of the path;
these may start anywhere on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from billhook.testing.simulator.messages import SimReply
from billhook_gocardless.simulator.answers import Ask, Route, existing, invalid_state, not_found
from billhook_gocardless.simulator.ledger import Ledger, Thing
from billhook_gocardless.simulator.mandates import Move

_COLLECTED = ("pending_submission", "submitted", "confirmed", "paid_out")


@dataclass(frozen=True, slots=True)
class Scenario:
    """The kind of thing that it moves, the statuses on its way, and the name of an event that differs from its status."""

    kind: str
    path: tuple[str, ...]
    actions: Mapping[str, str]


def _scenario(kind: str, *path: str, **actions: str) -> Scenario:
    return Scenario(kind, path, actions)


SCENARIOS: Mapping[str, Scenario] = {
    "payment_submitted": _scenario("payments", *_COLLECTED[:2]),
    "payment_confirmed": _scenario("payments", *_COLLECTED[:3]),
    "payment_paid_out": _scenario("payments", *_COLLECTED),
    "payment_failed": _scenario("payments", *_COLLECTED[:2], "failed"),
    "payment_charged_back": _scenario("payments", *_COLLECTED, "charged_back"),
    "payment_late_failure": _scenario("payments", *_COLLECTED, "failed"),
    "mandate_activated": _scenario("mandates", "pending_submission", "submitted", "active"),
    "mandate_customer_approval_granted": _scenario(
        "mandates", "pending_customer_approval", "pending_submission", pending_submission="customer_approval_granted"
    ),
    "mandate_failed": _scenario("mandates", "pending_submission", "submitted", "failed"),
    "mandate_expired": _scenario("mandates", "pending_submission", "submitted", "active", "expired"),
    "refund_paid": _scenario("refunds", "pending_submission", "submitted", "paid"),
    "refund_bounced": _scenario("refunds", "pending_submission", "submitted", "paid", "bounced", bounced="failed"),
    "refund_returned": _scenario("refunds", "pending_submission", "refund_returned", refund_returned="funds_returned"),
    # Not among the vendor's: the customer's bank takes a chargeback back.
    "payment_chargeback_cancelled": _scenario("payments", "charged_back", "paid_out", paid_out="chargeback_cancelled"),
}


class ScenarioDesk:
    """Makes scenarios happen."""

    def __init__(self, ledger: Ledger, moves: Mapping[str, Move]) -> None:
        self._ledger = ledger
        self._moves = moves

    def routes(self) -> list[Route]:
        return [("POST", "/scenario_simulators/{name}/actions/run", self._run)]

    def run(self, name: str, id: str, now: datetime) -> Thing:
        """Move that thing to the end of the scenario. Refused where it is not on the scenario's path."""
        scenario = SCENARIOS.get(name)
        if scenario is None:
            raise not_found(f"scenario_simulators/{name}")
        thing = existing(self._ledger, scenario.kind, id)
        if thing.status not in scenario.path[:-1]:
            raise invalid_state("scenario_failed", f"{id} is {thing.status}, which is not on the way of {name}")
        for status in scenario.path[scenario.path.index(thing.status) + 1 :]:
            thing = self._moves[scenario.kind](thing, status, scenario.actions.get(status, status), now)
        return thing

    def _run(self, ask: Ask) -> SimReply:
        links: dict[str, Any] = ((ask.body or {}).get("data") or {}).get("links") or {}
        self.run(ask.path["name"], str(links.get("resource")), ask.now)
        return SimReply.of(200, {"scenario_simulators": {"id": ask.path["name"]}})

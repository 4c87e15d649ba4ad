"""Each rule of the contract, taken out of the engine: the tests that protect it must go red.

A rule whose loss no test notices is not protected. The twelfth (claim no more than the provider's declared semantics give) is a sentence for
people; the crash enumeration holds it.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from engine_kit import Shop

from billhook.contract import Absent, Answered, Pending, Repeat, requests
from billhook.engine import (
    driver,
    journal,
    leases,
    open_operation,
    recovery,
    rehearsal,
    round as round_,
    settle,
    unit as unit_,
    walk,
    webhooks,
)
from billhook.engine.apps import AppHandle
from billhook.engine.commands import Commands
from billhook.engine.driver import Driver
from billhook.engine.effects import Release
from billhook.engine.fresh_credentials import FreshCredentials
from billhook.engine.journal import Attempt
from billhook.engine.plugin_values import PluginValues
from billhook.engine.recovery import Resend
from billhook.engine.sending import Landed, Sender
from billhook.engine.settle import Settler
from billhook.engine.settled import Settled
from billhook.plugins import catalog, checks, handle
from billhook.plugins.handle import ProviderHandle

Patch = pytest.MonkeyPatch


def _load_rules() -> ModuleType:
    path = Path(__file__).with_name("test_rules.py")
    spec = importlib.util.spec_from_file_location("rules_to_bite", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RULES = _load_rules()


@dataclass(frozen=True)
class Bite:
    """A way to take a rule out, and the tests that notice."""

    what: str
    take_out: Callable[[Patch], None]
    noticed_by: tuple[str, ...]


# 1. Freeze.


def thaw_from_the_present(patch: Patch) -> None:
    whole = open_operation._batch

    def present(context: Any, tx: Any, held: Any, spec: Any, operation_id: str, frozen: Any) -> Any:
        batch = whole(context, tx, held, spec, operation_id, frozen)
        return replace(batch, settings=held.app.settings, now=context.clock.now())

    patch.setattr(open_operation, "_batch", present)


def map_lines_at_every_run(patch: Patch) -> None:
    whole = open_operation._batch

    def present(context: Any, tx: Any, held: Any, spec: Any, operation_id: str, frozen: Any) -> Any:
        batch = whole(context, tx, held, spec, operation_id, frozen)
        mapped = [
            tuple(context.apps.map_line(held.app, line, item.invoice) for line in item.invoice.lines)
            for item in batch.items
        ]
        items = [replace(item, lines=lines) for item, lines in zip(batch.items, mapped, strict=True)]
        return replace(batch, items=tuple(items))

    patch.setattr(open_operation, "_batch", present)


def send_what_the_replay_yields(patch: Patch) -> None:
    yielded: list[Any] = []
    compare, recover = driver.difference, Driver._recover

    def remember(stored: Any, replayed: Any) -> str | None:
        yielded.append(replayed)
        return compare(stored, replayed)

    def use(self: Driver, attempt: Attempt, now: Any) -> Any:
        if yielded:
            attempt.step = yielded[-1]
        return recover(self, attempt, now)

    patch.setattr(driver, "difference", remember)
    patch.setattr(Driver, "_recover", use)


# 2. Credentials.


def let_credentials_in(patch: Patch) -> None:
    patch.setattr(requests, "refuse_credentials", lambda step, url, headers: None)


def sign_before_storing(patch: Patch) -> None:
    advance = driver._advance
    let_credentials_in(patch)

    def signed(steps: Any, reply: Any) -> Any:
        position = advance(steps, reply)
        if not isinstance(position, requests.Request):
            return position
        return replace(position, headers=(*position.headers, ("authorization", "Bearer old")))

    patch.setattr(driver, "_advance", signed)


def never_refresh(patch: Patch) -> None:
    patch.setattr(AppHandle, "can_renew", False)


def refresh_every_time(patch: Patch) -> None:
    after_refusal = FreshCredentials.after_refusal

    def again(self: FreshCredentials, operation: Any, now: Any) -> None:
        operation.held.refreshed_version = None
        after_refusal(self, operation, now)

    patch.setattr(FreshCredentials, "after_refusal", again)


# 3. Classify.


def believe_everything(patch: Patch) -> None:
    patch.setattr(ProviderHandle, "classify", lambda self, request, reply: Answered())


def believe_a_refusal_about_every_send(patch: Patch) -> None:
    refused = Attempt.refused

    def forget(self: Attempt, verdict: str) -> None:
        refused(self, verdict)
        self.unknown = False

    patch.setattr(Attempt, "refused", forget)


# 4. Keys.


def new_key_for_every_send(patch: Patch) -> None:
    begin = Attempt.about_to_send

    def renewed(self: Attempt, now: Any, longest: timedelta) -> None:
        begin(self, now, longest)
        self.key = f"{self.operation_id}-{self.ordinal}-send-{self.sends}"

    patch.setattr(Attempt, "about_to_send", renewed)


def keep_a_burnt_key(patch: Patch) -> None:
    lost = Attempt.lost

    def unburnt(self: Attempt, verdict: str, *, burnt: bool = False) -> None:
        lost(self, verdict)

    patch.setattr(Attempt, "lost", unburnt)


def new_key_after_every_absence(patch: Patch) -> None:
    patch.setattr(recovery, "key_is_spent", lambda state, ways, now: True)


# 5. Recovery.


def reverse_the_ways(patch: Patch) -> None:
    decide = driver.next_move

    def reversed_ways(state: Any, ways: Any, now: Any) -> Any:
        return decide(state, sorted(ways, key=lambda way: not isinstance(way, Repeat)), now)

    patch.setattr(driver, "next_move", reversed_ways)


def always_send_again(patch: Patch) -> None:
    patch.setattr(driver, "next_move", lambda state, ways, now: Resend())


def look_at_once(patch: Patch) -> None:
    decide = driver.next_move
    patch.setattr(driver, "next_move", lambda state, ways, now: decide(state, ways, now + timedelta(days=1)))


def take_a_failed_look_up_for_an_absence(patch: Patch) -> None:
    def absent(self: Driver, attempt: Attempt, now: Any, reason: str) -> Any:
        attempt.looked[0] = "absent"
        return self._recover(attempt, now)

    patch.setattr(Driver, "_look_again", absent)


def send_before_the_intent_is_stored(patch: Patch) -> None:
    patch.setattr(round_.Round, "_write_attempts", lambda self, tx, steps: None)


# 6. Batches.


def admit_every_step(patch: Patch) -> None:
    patch.setattr(PluginValues, "admit", lambda self, step, journal: None)


def settle_by_position(patch: Patch) -> None:
    settle = Driver._settle

    def shuffled(self: Driver, outcomes: Any) -> Any:
        ids = [item.id for item in self.batch.items]
        return settle(self, dict(zip(ids, outcomes.values(), strict=True)) if len(ids) == len(outcomes) else outcomes)

    patch.setattr(Driver, "_settle", shuffled)


def send_a_partly_done_batch_again(patch: Patch) -> None:
    findings = PluginValues.findings

    def nothing_found(self: PluginValues, way: Any, reply: Any, wanted: Any) -> Any:
        return dict.fromkeys(findings(self, way, reply, wanted), Absent())

    patch.setattr(PluginValues, "findings", nothing_found)


def take_an_omission_for_an_absence(patch: Patch) -> None:
    def begin(self: Driver, outcomes: Any, doubtful: Any, now: Any) -> Any:
        return self._settle(outcomes | {id: outcomes.get(id, Release()) for id in doubtful})

    patch.setattr(Driver, "_begin_check", begin)


def believe_every_refusal(patch: Patch) -> None:
    patch.setattr(Driver, "_may_be_our_own", lambda self, outcome: False)


# 7. Replay.


def overlook_differences(patch: Patch) -> None:
    patch.setattr(driver, "difference", lambda stored, replayed: None)


def overlook_steps_that_are_gone(patch: Patch) -> None:
    def finished(self: Driver, differs: str) -> Any:
        return self._settle({item.id: Release() for item in self.batch.items})

    patch.setattr(Driver, "_diverged", finished)


def never_adopt(patch: Patch) -> None:
    patch.setattr(Driver, "_meet_difference", lambda self, attempt, step, differs, now: self._diverged(differs))


# 8. Leftovers.


def forget_leftovers(patch: Patch) -> None:
    patch.setattr(Driver, "leftovers", lambda self: {})


def forget_leftovers_of_a_doubt(patch: Patch) -> None:
    remember = Settled.remember

    def only_rejected(self: Settled, unit: Any, external_id: str | None) -> None:
        if type(self.outcome).__name__ != "Doubt":
            remember(self, unit, external_id)

    patch.setattr(Settled, "remember", only_rejected)


# 9. Parking.


def keep_parked_generators(patch: Patch) -> None:
    patch.setattr(Driver, "close", lambda self: None)


def let_generators_hold_on(patch: Patch) -> None:
    patch.setattr(checks, "closing_problems", lambda provider: [])


# 10. Stalled workers.


def send_however_late(patch: Patch) -> None:
    patch.setattr(Sender, "_send", lambda self, sending: Landed(sending, self._transmit(sending, 30.0), None))


def ignore_fences(patch: Patch) -> None:
    patch.setattr(leases, "held", lambda tx, mine: {lease.app_id for lease in mine})
    patch.setattr(leases, "renew", lambda tx, mine, now, lifetime: len(mine))


def drop_late_replies(patch: Patch) -> None:
    patch.setattr(journal, "append_late_reply", lambda *arguments: None)


# 11. Races.


def apply_commands_at_once(patch: Patch) -> None:
    def give(self: Commands, unit: Any, row: Any, name: str, arguments: Any) -> bool:
        self.apply(unit, row, name, arguments)
        return True

    patch.setattr(Commands, "give", give)


def drop_recorded_commands(patch: Patch) -> None:
    patch.setattr(Commands, "apply_recorded", lambda self, unit, ids: None)


def never_match_events_again(patch: Patch) -> None:
    patch.setattr(unit_, "match_named", lambda unit, named: None)


def drop_unknown_events(patch: Patch) -> None:
    keep = webhooks.Webhooks._keep

    def known_only(self: Any, tx: Any, app: Any, events: Any, now: Any) -> int:
        return keep(self, tx, app, [event for event in events if webhooks.known_by(tx, app.id, event)], now)

    patch.setattr(webhooks.Webhooks, "_keep", known_only)


# 13. Wake-ups.


def never_look_again(patch: Patch) -> None:
    patch.setattr(Settler, "_look_again", lambda self, unit, settled, outcome, give_up_at: None)


def look_again_at_once(patch: Patch) -> None:
    look = Settler._look_again

    def hasty(self: Settler, unit: Any, settled: Any, outcome: Any, give_up_at: Any) -> None:
        look(self, unit, settled, replace(outcome, check_after=timedelta(seconds=1)), give_up_at)

    patch.setattr(Settler, "_look_again", hasty)


def never_give_up(patch: Patch) -> None:
    pending = Settler.pending

    def patient(self: Settler, unit: Any, settled: Any) -> None:
        pending(
            self,
            unit,
            replace(
                settled,
                outcome=replace(settled.outcome, give_up_at=None),
                work=settled.work._replace(give_up_at=None),
            ),
        )

    patch.setitem(settle._OUTCOMES, Pending, patient)


# 14. Load checks.


def load_unchecked(patch: Patch) -> None:
    patch.setattr(catalog, "check_provider", lambda provider: provider)


def start_unchecked(patch: Patch) -> None:
    patch.setattr(handle, "check_returned", lambda operation, returned, *, local: returned)


def import_anything(patch: Patch) -> None:
    patch.setattr("billhook.plugins.imports.imports_on_load", lambda target: frozenset())


# 15. Preview.


def preview_without_the_mapping(patch: Patch) -> None:
    drive = walk.rehearse

    def unmapped(handle: Any, capability: Any, batch: Any) -> Any:
        items = tuple(replace(item, lines=()) if hasattr(item, "lines") else item for item in batch.items)
        return drive(handle, capability, replace(batch, items=items))

    patch.setattr(walk, "rehearse", unmapped)


def preview_beyond_the_samples(patch: Patch) -> None:
    def shown(position: Any, found: list[Any]) -> None:
        found.append(position)

    patch.setattr(rehearsal, "_shown", shown)


BITES = (
    Bite(
        "settings and time are read when a batch is thawed",
        thaw_from_the_present,
        ("test_a_replay_reads_what_was_frozen_and_nothing_that_changed_since",),
    ),
    Bite(
        "lines are mapped at every run",
        map_lines_at_every_run,
        ("test_a_replay_reads_what_was_frozen_and_nothing_that_changed_since",),
    ),
    Bite(
        "a replay sends its own bytes",
        send_what_the_replay_yields,
        ("test_what_is_sent_again_are_the_stored_bytes_with_the_stored_recovery",),
    ),
    Bite("requests may carry credentials", let_credentials_in, ("test_a_request_with_credentials_is_refused",)),
    Bite(
        "requests are signed before they are stored",
        sign_before_storing,
        ("test_credentials_are_added_when_sending_and_stored_nowhere_else",),
    ),
    Bite(
        "credentials are never refreshed",
        never_refresh,
        (
            "test_credentials_are_added_when_sending_and_stored_nowhere_else",
            "test_a_refused_token_is_refreshed_once_and_a_second_refusal_holds_the_app",
        ),
    ),
    Bite(
        "credentials are refreshed at every refusal",
        refresh_every_time,
        ("test_a_refused_token_is_refreshed_once_and_a_second_refusal_holds_the_app",),
    ),
    Bite("every reply is an answer", believe_everything, ("test_only_an_answer_reaches_the_operation",)),
    Bite(
        "a refused repeat clears the first send",
        believe_a_refusal_about_every_send,
        ("test_a_429_on_a_repeat_says_nothing_about_the_first_send",),
    ),
    Bite(
        "a new key for every send",
        new_key_for_every_send,
        (
            "test_a_step_keeps_its_key_however_often_it_is_sent",
            "test_after_a_proof_of_absence_a_late_first_request_meets_the_same_key",
        ),
    ),
    Bite(
        "a burnt key is kept",
        keep_a_burnt_key,
        ("test_a_burnt_key_is_exchanged_once_a_look_up_proved_that_nothing_was_done",),
    ),
    Bite(
        "a new key after every absence",
        new_key_after_every_absence,
        ("test_after_a_proof_of_absence_a_late_first_request_meets_the_same_key",),
    ),
    Bite(
        "repeating comes first, whatever is declared",
        reverse_the_ways,
        ("test_ways_are_tried_in_the_order_in_which_they_are_declared",),
    ),
    Bite(
        "an unknown outcome is simply sent again",
        always_send_again,
        (
            "test_where_no_way_is_left_the_item_stops_in_doubt_for_everybody_to_see",
            "test_a_look_up_waits_until_the_provider_can_no_longer_be_at_work",
        ),
    ),
    Bite("look-ups do not wait", look_at_once, ("test_a_look_up_waits_until_the_provider_can_no_longer_be_at_work",)),
    Bite(
        "a failed look-up is an absence",
        take_a_failed_look_up_for_an_absence,
        ("test_a_failed_look_up_proves_nothing",),
    ),
    Bite(
        "intents are not stored before sending",
        send_before_the_intent_is_stored,
        ("test_every_send_stands_in_the_journal_before_it_leaves",),
    ),
    Bite(
        "every step is admitted",
        admit_every_step,
        (
            "test_a_batch_makes_one_request_that_changes_something_and_no_second",
            "test_a_batch_that_may_be_partly_done_must_not_be_repeated_blindly",
        ),
    ),
    Bite("outcomes go by position", settle_by_position, ("test_outcomes_go_by_item_never_by_position",)),
    Bite(
        "a partly done batch is sent again whole",
        send_a_partly_done_batch_again,
        ("test_of_a_batch_that_was_partly_done_only_the_rest_is_sent_again",),
    ),
    Bite(
        "an omitted item was not done",
        take_an_omission_for_an_absence,
        ("test_an_item_that_the_answer_does_not_mention_is_looked_up",),
    ),
    Bite(
        "a refusal is a refusal",
        believe_every_refusal,
        ("test_a_refusal_after_an_unknown_send_may_be_our_own_success",),
    ),
    Bite(
        "differences are overlooked",
        overlook_differences,
        ("test_an_upgrade_that_would_send_something_else_stops_in_doubt",),
    ),
    Bite(
        "what diverged is begun anew",
        overlook_steps_that_are_gone,
        (
            "test_an_upgrade_that_would_send_something_else_stops_in_doubt",
            "test_an_upgrade_that_leaves_a_journalled_step_out_stops_in_doubt",
        ),
    ),
    Bite(
        "a refused step is never exchanged",
        never_adopt,
        ("test_where_every_send_was_refused_the_new_request_is_simply_sent",),
    ),
    Bite(
        "leftovers are forgotten",
        forget_leftovers,
        (
            "test_what_a_refused_operation_left_behind_is_where_the_next_one_starts",
            "test_what_is_in_doubt_leaves_its_remote_ids_too",
        ),
    ),
    Bite(
        "leftovers of a doubt are forgotten",
        forget_leftovers_of_a_doubt,
        ("test_what_is_in_doubt_leaves_its_remote_ids_too",),
    ),
    Bite("parked generators stay open", keep_parked_generators, ("test_an_operation_that_waits_holds_no_generator",)),
    Bite(
        "generators may hold on",
        let_generators_hold_on,
        ("test_a_provider_that_would_not_let_itself_be_closed_is_not_loaded",),
    ),
    Bite(
        "the deadline is not checked before sending",
        send_however_late,
        ("test_a_worker_that_slept_past_the_deadline_does_not_send",),
    ),
    Bite(
        "fences are ignored",
        ignore_fences,
        ("test_an_answer_that_comes_after_somebody_else_settled_is_kept_but_changes_nothing",),
    ),
    Bite(
        "late replies are dropped",
        drop_late_replies,
        ("test_an_answer_that_comes_after_somebody_else_settled_is_kept_but_changes_nothing",),
    ),
    Bite(
        "commands are applied at once",
        apply_commands_at_once,
        ("test_a_command_that_meets_an_open_attempt_is_recorded_and_applied_after_it",),
    ),
    Bite(
        "recorded commands are dropped",
        drop_recorded_commands,
        ("test_a_command_that_meets_an_open_attempt_is_recorded_and_applied_after_it",),
    ),
    Bite(
        "events are never matched again",
        never_match_events_again,
        ("test_an_event_about_something_not_yet_known_is_kept_and_matched_when_its_id_arrives",),
    ),
    Bite(
        "unknown events are dropped",
        drop_unknown_events,
        ("test_an_event_about_something_not_yet_known_is_kept_and_matched_when_its_id_arrives",),
    ),
    Bite(
        "nobody looks again",
        never_look_again,
        ("test_what_is_pending_is_looked_at_when_it_said_and_holds_nothing_meanwhile",),
    ),
    Bite(
        "somebody looks again at once",
        look_again_at_once,
        ("test_what_is_pending_is_looked_at_when_it_said_and_holds_nothing_meanwhile",),
    ),
    Bite("nobody gives up", never_give_up, ("test_what_is_pending_for_too_long_stops_for_everybody_to_see",)),
    Bite(
        "providers are not checked",
        load_unchecked,
        (
            "test_a_provider_that_breaks_the_contract_is_not_loaded",
            "test_a_provider_that_would_not_let_itself_be_closed_is_not_loaded",
        ),
    ),
    Bite(
        "what a hook returns is not checked", start_unchecked, ("test_what_a_decorated_hook_returns_is_looked_at_too",)
    ),
    Bite(
        "a preview leaves the mapping out",
        preview_without_the_mapping,
        ("test_a_preview_shows_the_bytes_of_the_later_send_and_writes_nothing",),
    ),
    Bite(
        "a preview makes answers up",
        preview_beyond_the_samples,
        ("test_a_preview_shows_the_bytes_of_the_later_send_and_writes_nothing",),
    ),
    Bite("imports are not looked at", import_anything, ("test_a_provider_is_loaded_without_anybody_elses_package",)),
)


NOTICED = [pytest.param(bite, name, id=f"{bite.what}: {name}") for bite in BITES for name in bite.noticed_by]


@pytest.mark.parametrize("bite, name", NOTICED)
def test_a_rule_that_is_taken_out_is_missed(bite: Bite, name: str, a_shop: Callable[..., Shop], monkeypatch: Patch):
    bite.take_out(monkeypatch)
    test = getattr(RULES, name)
    arguments = {"a_shop": a_shop} if test.__code__.co_argcount else {}
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        test(**arguments)


def test_every_rule_but_the_twelfth_bites():
    tests = {name: test.rule for name, test in vars(RULES).items() if hasattr(test, "rule")}
    bitten = {name for bite in BITES for name in bite.noticed_by}
    assert bitten <= tests.keys()
    assert {tests[name] for name in bitten} == set(range(1, 16)) - {12}
    assert tests.keys() - bitten == set()

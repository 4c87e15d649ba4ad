"""What a tenant changes of its own world in the middle: lines that wait, profiles and overrides, apps, customers, and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from life import Life
from town import PAIRS

from billhook.errors import NotAllowed

WORKFLOWS: tuple[dict[str, Any], ...] = (
    {"auto_advance": False},
    {"collection_method": "send_invoice"},
    {"collection_method": "charge_automatically", "draft_period": "PT1H"},
    {"tax_rounding": "per_line"},
)
AGES = (timedelta(0), timedelta(days=1), timedelta(days=30))


# Lines that wait.


def keep_lines(life: Life, draft: Mapping[str, Any], customer: str) -> str:
    """They are due now, in an hour or in a month; some are put away once more before they are invoiced."""
    later = life.chance.choice([timedelta(0), timedelta(0), timedelta(hours=1), timedelta(days=31)])
    due = (life.clock.now() + later).isoformat()
    lines = [{**line, "invoice_at": due} for line in draft["lines"]]
    kept = life.space.pending_lines.add(life.customers[customer], draft["currency"], lines)
    life.lines.update({line.id for line in kept.lines})
    return f"{len(kept.lines)} in {kept.gathering.currency} for {customer}, due {due}"


def remove_a_line(life: Life) -> str:
    waiting = life.space.pending_lines.list().items
    if not waiting:
        return "none waits"
    line = life.chance.choice(waiting)
    life.space.pending_lines.remove([line.id])
    life.lines.remove(line.id)
    return line.id


def invoice_some_lines(life: Life, customer: str) -> str:
    """One customer's, progressively: all that are due, or one of them."""
    waiting = life.space.pending_lines.list(customer_id=life.customers[customer]).items
    due = [line.id for line in waiting if line.invoice_at <= life.clock.now()]
    chosen = [life.chance.choice(due)] if due and life.chance.random() < 0.5 else None
    made = life.space.gathering.invoice_now(life.customers[customer], line_ids=chosen)
    life.invoices.extend(made)
    return f"{made} of {customer}"


def collect_what_is_due(life: Life) -> str:
    collected = life.space.gathering.collect_due()
    life.invoices.extend(collected.invoice_ids)
    return f"{collected}"


# Profiles and overrides.


def change_a_profile(life: Life) -> str:
    profile = life.chance.choice(life.profiles)
    does = life.chance.choice(["workflow", "supplier", "default", "delete"])
    profiles = life.space.profiles
    if does == "delete":
        profiles.delete(profile)
        life.profiles.remove(profile)
    elif does == "default":
        profiles.update(profile, is_default=True)
    elif does == "workflow":
        profiles.update(profile, workflow=life.chance.choice(WORKFLOWS))
    else:
        profiles.amend(profile, supplier={"name": f"Supplier {life.key}"})
    return f"{does} of {profile}"


def add_a_profile(life: Life) -> str:
    return life.add_profile(life.chance.choice(PAIRS), is_default=life.chance.random() < 0.3)


def change_an_override(life: Life, customer: str) -> str:
    id, overrides = life.customers[customer], life.space.overrides
    if life.chance.random() < 0.3:
        overrides.delete(id)
        return f"{customer} has none"
    workflow, profile = life.chance.choice(WORKFLOWS), life.chance.choice([None, *life.profiles])
    overrides.set(id, workflow=workflow, profile_id=profile)
    return f"{customer} by {profile} with {workflow}"


# Apps.


def uninstall_an_app(life: Life) -> str:
    """Refused while something needs it."""
    place = life.chance.choice(list(life.town.values()))
    app_id = life.chance.choice(place.app_ids)
    life.space.apps.uninstall(app_id)
    place.app_ids.remove(app_id)
    life.gone[app_id] = place.name
    if not place.app_ids:
        life.install(place)
    return f"{app_id} at {place.name}"


def install_an_app_anew(life: Life) -> str:
    """A second app at the same account; the profiles that named the first are replaced, and the first ends once nothing needs it."""
    place = life.chance.choice(list(life.town.values()))
    before = set(place.app_ids)
    life.install(place)
    for id in list(life.profiles):
        profile = life.space.profiles.get(id)
        apps = {"tax": profile.tax_app_id, "invoicing": profile.invoicing_app_id, "payment": profile.payment_app_id}
        if before & set(apps.values()):
            new = {name: place.app_id if app_id in before else app_id for name, app_id in apps.items()}
            life.replace_profile(profile, new)
    return f"{place.app_id} at {place.name}"


def renew_credentials(life: Life) -> str:
    """By the host under another key of its own, or because an access token is over."""
    place = life.town[life.chance.choice(["quickbooks", "quickbooks", "stripe", "xero"])]
    if place.name == "quickbooks" and life.chance.random() < 0.7:
        stale = {**place.connection.credentials, "access_token": "over"}
        life.space.apps.set_credentials(place.app_id, stale)
        return f"the access token of {place.name} is over"
    return f"{life.engine.rotate_credentials()}"


# Customers, and what is kept.


def part_with_a_customer(life: Life, customer: str) -> str:
    """Deleted or erased, refused while something needs them; then somebody else comes under the same key."""
    id = life.customers[customer]
    part: Callable[[str], Any] = life.chance.choice([life.space.customers.delete, life.space.erase_customer])
    part(id)
    if part == life.space.erase_customer:
        life.erased.append(id)
    life.welcome(customer)
    return f"{part.__name__} of {id}; {customer} is {life.customers[customer]} now"


def erase_who_is_gone(life: Life) -> str:
    deleted = [each for each in life.parted if each not in life.erased]
    if not deleted:
        return "nobody is"
    id = life.chance.choice(deleted)
    life.space.erase_customer(id)
    life.erased.append(id)
    return id


def prune(life: Life) -> str:
    return f"{life.engine.prune(life.chance.choice(AGES))}"


def void_a_note(life: Life) -> str:
    if not life.notes:
        raise NotAllowed("There is none.")
    note = life.chance.choice(life.notes)
    life.space.credit_notes.void(note)
    return note


def capture_a_part(life: Life) -> str:
    authorized = [
        (id, payment)
        for id in life.invoices
        for payment in life.space.invoices.get(id).payments
        if payment.status == "authorized"
    ]
    if not authorized:
        return "nothing is authorized"
    id, payment = life.chance.choice(authorized)
    amount = life.chance.choice(["1", f"{payment.amount:f}", None])
    life.space.invoices.capture(id, amount)
    return f"{amount} of {payment.amount} for {id}"

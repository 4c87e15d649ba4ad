"""The steps of `billhook setup`. Each makes what is missing, changes what differs, and leaves the rest: doing it again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from billhook.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from billhook.engine.namespace import Namespace
    from billhook.engine.notifications.records import Channel
    from billhook.engine.records import App, BillingProfile

APP_TYPE = "custom_invoicing"
BOTH_HOOKS: Mapping[str, bool] = {"enable_draft_sync_hook": True, "enable_issuing_sync_hook": True}
EVERYBODY = "all"
MOST = 1000


class Preset(StrEnum):
    """How the money comes."""

    AUTO_COLLECTION = "auto_collection"
    SEND_INVOICE = "send_invoice"


COLLECTION_METHODS: Mapping[Preset, str] = {
    Preset.AUTO_COLLECTION: "charge_automatically",
    Preset.SEND_INVOICE: "send_invoice",
}


class Did(StrEnum):
    """What became of a thing."""

    CREATED = "created"
    CHANGED = "changed"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is now as it was asked for."""

    thing: str
    id: str
    name: str
    did: Did


@dataclass(frozen=True, slots=True)
class ProfileWish:
    """What is asked of a billing profile. None leaves what is there."""

    name: str
    preset: Preset | None = None
    due_after: str | None = None
    supplier: str | None = None
    country: str | None = None

    def workflow(self) -> dict[str, Any]:
        """What is stated of the workflow."""
        method = {"collection_method": COLLECTION_METHODS[self.preset]} if self.preset else {}
        return {**method, **({"due_after": self.due_after} if self.due_after else {})}


def find_app(billing: Namespace, name: str) -> App | None:
    """The custom invoicing app of that name, if there is one."""
    apps = billing.apps.list(page_size=MOST).items
    return next((app for app in apps if app.type == APP_TYPE and app.name == name), None)


def find_profile(billing: Namespace, name: str, app: App | None) -> BillingProfile | None:
    """The profile of that name that invoices through the app, if there is one."""
    profiles = billing.profiles.list(page_size=MOST).items if app else ()
    return next((one for one in profiles if one.name == name and app and one.invoicing_app_id == app.id), None)


def has_default(billing: Namespace) -> bool:
    """Whether customers without an override are served already."""
    try:
        billing.profiles.default()
    except NotFound:
        return False
    return True


def check(billing: Namespace, wish: ProfileWish, before: BillingProfile | None, serves: str | None) -> None:
    """Raise InvalidInput or NotFound for what would stop half-way."""
    if before is None:
        _new_supplier(wish)
    if serves not in {None, EVERYBODY}:
        billing.customers.get(str(serves))


def keep_app(billing: Namespace, name: str, hooks: Mapping[str, bool]) -> tuple[App, Step]:
    """The app with its two switches as they are asked for; a new one has both on unless it is told otherwise."""
    before = find_app(billing, name)
    if before is None:
        app = billing.apps.install(APP_TYPE, name=name, settings={**BOTH_HOOKS, **hooks})
        return app, Step("app", app.id, app.name, Did.CREATED)
    settings = {**before.settings, **hooks}
    if settings == before.settings:
        return before, Step("app", before.id, before.name, Did.KEPT)
    app = billing.apps.update(before.id, settings=settings)
    return app, Step("app", app.id, app.name, Did.CHANGED)


def keep_profile(billing: Namespace, wish: ProfileWish, app: App) -> tuple[BillingProfile, Step]:
    """The profile that invoices through the app. Raises InvalidInput where a new one has no supplier with a country."""
    before = find_profile(billing, wish.name, app)
    if before is None:
        profile = billing.profiles.create(
            wish.name,
            supplier=_new_supplier(wish),
            tax_app_id=app.id,
            invoicing_app_id=app.id,
            payment_app_id=app.id,
            workflow=wish.workflow(),
        )
        return profile, Step("profile", profile.id, profile.name, Did.CREATED)
    profile = billing.profiles.amend(before.id, supplier=_changed_supplier(wish, before), workflow=wish.workflow())
    return profile, Step("profile", profile.id, profile.name, Did.KEPT if profile == before else Did.CHANGED)


def keep_channel(billing: Namespace, name: str, url: str) -> tuple[Channel, Step]:
    """The channel that notifies that address, found by the address."""
    channels = billing.notifications.channels
    before = next((one for one in channels.list(page_size=MOST).items if one.url == url), None)
    if before is None:
        channel = channels.create(name, url)
        return channel, Step("channel", channel.id, channel.name, Did.CREATED)
    if not before.disabled:
        return before, Step("channel", before.id, before.name, Did.KEPT)
    channel = channels.update(before.id, disabled=False)
    return channel, Step("channel", channel.id, channel.name, Did.CHANGED)


def keep_rules(billing: Namespace, channel: Channel) -> Iterator[Step]:
    """A rule for each kind of event, so that the channel is told of everything that happens to invoices."""
    from billhook.engine.notifications.kinds import EventType

    rules = billing.notifications.rules
    there = {rule.type: rule for rule in rules.list(channel_ids=[channel.id], page_size=MOST).items}
    for type in EventType:
        before = there.get(type)
        if before is None:
            rule = rules.create(type, f"{channel.name}: {type}", [channel.id])
            yield Step("rule", rule.id, rule.name, Did.CREATED)
        elif before.disabled:
            rule = rules.update(before.id, disabled=False)
            yield Step("rule", rule.id, rule.name, Did.CHANGED)
        else:
            yield Step("rule", before.id, before.name, Did.KEPT)


def keep_default(billing: Namespace, profile: BillingProfile) -> Step:
    """Let the profile serve every customer without an override."""
    did = Did.KEPT if profile.is_default else Did.CHANGED
    billing.profiles.update(profile.id, is_default=True)
    return Step("default", profile.id, profile.name, did)


def keep_override(billing: Namespace, profile: BillingProfile, customer: str) -> Step:
    """Let the profile serve that customer, named by id or key."""
    found = billing.customers.get(customer)
    before = _override_of(billing, found.id)
    if before is not None and before.profile_id == profile.id:
        return Step("override", found.id, found.name, Did.KEPT)
    billing.overrides.pin(found.id, profile.id)
    return Step("override", found.id, found.name, Did.CREATED if before is None else Did.CHANGED)


def _override_of(billing: Namespace, customer_id: str) -> Any:
    try:
        return billing.overrides.get(customer_id)
    except NotFound:
        return None


def _new_supplier(wish: ProfileWish) -> dict[str, Any]:
    if not wish.supplier or not wish.country:
        raise InvalidInput(
            "supplier_missing", "A new profile needs to know who sells. Give --supplier NAME and --country, such as DE."
        )
    return {"name": wish.supplier, "addresses": [{"country": wish.country}]}


def _changed_supplier(wish: ProfileWish, profile: BillingProfile) -> dict[str, Any]:
    name = {"name": wish.supplier} if wish.supplier else {}
    if not wish.country:
        return name
    address = profile.supplier.addresses[0].model_dump() if profile.supplier.addresses else {}
    return {**name, "addresses": [{**address, "country": wish.country}]}

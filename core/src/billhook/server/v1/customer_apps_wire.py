"""Customers as single apps know them, on the wire. Pure: no engine is called."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from billhook.domain.base import Key, Metadata
from billhook.engine.customer_apps import CustomerAppEntry
from billhook.engine.records import App, CustomerApp
from billhook.errors import InvalidInput
from billhook.server.v1.app_wire import shown_type
from billhook.server.v1.shown import filled
from billhook.server.v1.wire import UlidText, WireModel


class AppType(StrEnum):
    """The kinds of customer data that OpenMeter knows."""

    STRIPE = "stripe"
    SANDBOX = "sandbox"
    CUSTOM_INVOICING = "custom_invoicing"


class StripeInput(WireModel):
    """A customer who is at Stripe already."""

    type: Literal[AppType.STRIPE]
    id: UlidText | None = None
    stripe_customer_id: Key
    stripe_default_payment_method_id: Key | None = None

    def entry(self, app_id: str) -> CustomerAppEntry:
        """What the app is to know."""
        return CustomerAppEntry(
            app_id, external_id=self.stripe_customer_id, payment_method=self.stripe_default_payment_method_id
        )


class SandboxInput(WireModel):
    """A customer of the sandbox, of whom it needs to know nothing."""

    type: Literal[AppType.SANDBOX]
    id: UlidText | None = None

    def entry(self, app_id: str) -> CustomerAppEntry:
        """What the app is to know."""
        return CustomerAppEntry(app_id)


class CustomInvoicingInput(WireModel):
    """A customer of any other app, with data of the caller's own."""

    type: Literal[AppType.CUSTOM_INVOICING]
    id: UlidText | None = None
    metadata: Metadata | None = None

    def entry(self, app_id: str) -> CustomerAppEntry:
        """What the app is to know."""
        return CustomerAppEntry(app_id, data=self.metadata or {})


AppDataInput = Annotated[StripeInput | SandboxInput | CustomInvoicingInput, Field(discriminator="type")]


def type_of(app: App) -> AppType:
    """Under which kind an app's data appear: its own where OpenMeter knows it."""
    return AppType(app.type) if app.type in set(AppType) else AppType.CUSTOM_INVOICING


def entries_of(
    items: Sequence[StripeInput | SandboxInput | CustomInvoicingInput], named: Mapping[str, App]
) -> Callable[[Sequence[App]], list[CustomerAppEntry]]:
    """What apps are to know: those that are named by their ids, and else the first of that kind among those of the customer's profile.

    What it gives raises InvalidInput for an app of another kind, and where the profile has none of that kind.
    """

    def choose(apps: Sequence[App]) -> list[CustomerAppEntry]:
        return [item.entry(_app_id(item, place, named, apps)) for place, item in enumerate(items)]

    return choose


def app_data_v1(
    known: Sequence[CustomerApp], apps: Mapping[str, App], shown: Mapping[str, Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """What each app knows, as far as there is something to show. ``shown`` has the apps as the API shows them."""
    for each in known:
        kind = type_of(apps[each.app_id])
        data = _data(kind, each)
        if data is not None:
            app = shown.get(each.app_id, {})
            yield filled(type=kind.value, id=each.app_id, app=app if app.get("type") == kind else None, **data)


def _data(kind: AppType, known: CustomerApp) -> dict[str, Any] | None:
    if kind is AppType.SANDBOX:
        return {}
    if kind is AppType.CUSTOM_INVOICING:
        return {"metadata": dict(known.data)}
    if known.external_id is None:
        return None
    return {"stripeCustomerId": known.external_id, "stripeDefaultPaymentMethodId": known.payment_method}


def _app_id(
    item: StripeInput | SandboxInput | CustomInvoicingInput,
    place: int,
    named: Mapping[str, App],
    apps: Sequence[App],
) -> str:
    if item.id is not None:
        if item.id in named and item.type not in {type_of(named[item.id]), shown_type(named[item.id].type)}:
            raise InvalidInput(
                "app_type_mismatch", f"The app {item.id} is not of the type {item.type}.", f"/{place}/type"
            )
        return item.id
    for app in apps:
        if type_of(app) is item.type:
            return app.id
    raise InvalidInput(
        "app_not_in_profile",
        f"The customer's billing profile has no app of the type {item.type}. Name the app by its id.",
        f"/{place}/id",
    )

"""A customer's billing in the third form of the API: the profile that serves it, and what that profile's apps know. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from billhook.domain.base import Key
from billhook.engine.customer_apps import CustomerAppEntry
from billhook.engine.records import UNCHANGED, App, CustomerApp
from billhook.errors import InvalidInput
from billhook.server.v1.customer_apps_wire import AppType, type_of
from billhook.server.v1.shown import filled
from billhook.server.v3.labels import MOST_LABELS, labels_v3, metadata_with
from billhook.server.v3.profiles_wire import Reference
from billhook.server.v3.wire import Labels, WireModel

AppLabels = Annotated[Labels | None, Field(max_length=MOST_LABELS)]
NOTHING: Mapping[str, str] = {}


class StripeInput(WireModel):
    """What Stripe knows of the customer. What is left out stays."""

    customer_id: Key | None = None
    default_payment_method_id: Key | None = None
    labels: AppLabels = None


class ExternalInvoicingInput(WireModel):
    """What any other app knows of the customer."""

    labels: AppLabels = None


class AppDataInput(WireModel):
    """What the apps of the customer's billing profile are to know."""

    stripe: StripeInput | None = None
    external_invoicing: ExternalInvoicingInput | None = None


class BillingInput(WireModel):
    """Which profile serves the customer, the default one where none is named, and what its apps are to know."""

    billing_profile: Reference | None = None
    app_data: AppDataInput | None = None


def entries_of(
    data: AppDataInput | None, known: Sequence[CustomerApp]
) -> Callable[[Sequence[App]], list[CustomerAppEntry]]:
    """What the apps of a profile are to know. What it gives raises InvalidInput where the profile has no such app."""
    before = {each.app_id: each.data for each in known}

    def choose(apps: Sequence[App]) -> list[CustomerAppEntry]:
        entries = []
        if data is not None and data.stripe is not None:
            entries.append(_of_stripe(data.stripe, _app(apps, AppType.STRIPE, "stripe"), before))
        if data is not None and data.external_invoicing is not None:
            app_id = _app(apps, AppType.CUSTOM_INVOICING, "external_invoicing")
            labels = metadata_with(data.external_invoicing.labels, before.get(app_id, NOTHING))
            entries.append(CustomerAppEntry(app_id, data=labels))
        return entries

    return choose


def app_data_v3(apps: Sequence[App], known: Sequence[CustomerApp]) -> dict[str, Any]:
    """What the apps of a profile know, as far as there is a word for it."""
    shown: dict[str, Any] = {}
    by_app = {each.app_id: each for each in known}
    for app in (app for app in apps if app.id in by_app):
        kind, each = type_of(app), by_app[app.id]
        if kind is AppType.STRIPE:
            shown.setdefault("stripe", _stripe(each))
        elif kind is AppType.CUSTOM_INVOICING:
            shown.setdefault("external_invoicing", filled(labels=labels_v3(each.data)))
    return shown


def _stripe(known: CustomerApp) -> dict[str, Any]:
    return filled(
        customer_id=known.external_id,
        default_payment_method_id=known.payment_method,
        labels=labels_v3(known.data),
    )


def _of_stripe(data: StripeInput, app_id: str, before: Mapping[str, Mapping[str, str]]) -> CustomerAppEntry:
    labels = UNCHANGED if data.labels is None else metadata_with(data.labels, before.get(app_id, NOTHING))
    return CustomerAppEntry(
        app_id,
        external_id=UNCHANGED if data.customer_id is None else data.customer_id,
        payment_method=UNCHANGED if data.default_payment_method_id is None else data.default_payment_method_id,
        data=labels,
    )


def _app(apps: Sequence[App], kind: AppType, name: str) -> str:
    for app in apps:
        if type_of(app) is kind:
            return app.id
    raise InvalidInput("app_not_in_profile", f"The customer's billing profile has no app for {name}.", f"/{name}")

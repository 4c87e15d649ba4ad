"""What has to be there before the first document: the apps, a billing profile, and the customers. Doing it again adds nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from billhook.demo.cast import BY_HAND, Cast
from billhook.demo.online_retail import CURRENCY, mapping_rules
from billhook.demo.outside import Outside
from billhook.domain.party import Address, Supplier
from billhook.domain.workflow import WorkflowConfig
from billhook.engine.namespace import Namespace
from billhook.engine.records import App
from billhook.errors import Conflict, NotFound

PROFILE_NAME = "Online Retail"
UNTAXED = WorkflowConfig(tax_enabled=False)
BANK: Mapping[str, Any] = {
    "account_holder": "Online Retail",
    "iban": "GB82WEST12345698765432",
    "bank_name": "The bank of the demo",
}


def prepare(
    billing: Namespace, cast: Cast, customers: Mapping[str, str], outside: Outside, count: Callable[[int], None]
) -> dict[str, App]:
    """Install the apps, the profile and the customers (country codes by key) that are not there yet. Gives the apps by provider type.

    Raises Conflict for a database that serves something else, and for books that belong to another database.
    """
    known = {app.name: app for app in billing.apps.list(page_size=1000).items}
    _check_books(known.get(_name(cast.invoicing)), cast.invoicing, billing, outside)
    apps = {type: known.get(_name(type)) or _install(billing, type, outside) for type in cast.types}
    _have_profile(billing, apps[cast.invoicing], apps[cast.payment])
    for key, country in customers.items():
        _have_customer(billing, key, country)
        count(1)
    return apps


def _name(type: str) -> str:
    return f"Online Retail {type}"


def _install(billing: Namespace, type: str, outside: Outside) -> App:
    if type == BY_HAND:
        return billing.apps.install(type, name=_name(type), settings=BANK)
    connection = outside.connection(type)
    return billing.apps.install(
        type,
        name=_name(type),
        settings=connection.settings,
        credentials=connection.credentials,
        mapping=mapping_rules(connection.accounts) if connection.accounts else None,
    )


def _check_books(app: App | None, type: str, billing: Namespace, outside: Outside) -> None:
    simulator = outside.simulator(type)
    known = bool(simulator.documents())
    if app is None and known:
        raise Conflict(
            f"The ledger {simulator.ledger_path} holds documents that this database knows nothing of. "
            "Give the --db that belongs to it, or another --ledger.",
            "ledger_of_another_database",
        )
    if app is not None and not known and any(view.external_ids for view in billing.invoices.list().items):
        raise Conflict(
            f"The database holds documents of an earlier demo, but the ledger {simulator.ledger_path} is empty. "
            "Give the --ledger that belongs to it, or another --db.",
            "ledger_missing",
        )


def _have_profile(billing: Namespace, invoicing: App, payment: App) -> None:
    try:
        profile = billing.profiles.default()
    except NotFound:
        billing.profiles.create(
            PROFILE_NAME,
            supplier=Supplier(name="Online Retail", addresses=(Address(country="GB"),)),
            tax_app_id=invoicing.id,
            invoicing_app_id=invoicing.id,
            payment_app_id=payment.id,
            is_default=True,
            workflow=UNTAXED,
        )
        return
    if (profile.invoicing_app_id, profile.payment_app_id) != (invoicing.id, payment.id):
        raise Conflict(
            f"The database already bills through the profile {profile.name!r}, with other apps. Give the demo a --db of its own.",
            "database_in_use",
        )


def _have_customer(billing: Namespace, key: str, country: str) -> None:
    try:
        billing.customers.get(key)
    except NotFound:
        address = Address(country=country)
        with suppress(Conflict):  # another demo on the same files made it at this very moment
            billing.customers.create(f"Customer {key}", key=key, addresses=(address,), currency=CURRENCY)

"""What has to be there before the first document: an app, a billing profile, and the customers. Doing it again adds nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from billhook.demo.online_retail import CURRENCY, MAPPING_RULES
from billhook.demo.sandbox import SANDBOX_URL, TOKEN
from billhook.domain.party import Address, Supplier
from billhook.domain.workflow import WorkflowConfig
from billhook.engine.engine import Namespace
from billhook.engine.records import App
from billhook.errors import Conflict, NotFound
from billhook.testing.sandbox.ledger import Ledger

APP_NAME = "Online Retail sandbox"
PROFILE_NAME = "Online Retail"
UNTAXED = WorkflowConfig(tax_enabled=False)


def prepare(billing: Namespace, customers: Mapping[str, str], ledger: Ledger, count: Callable[[int], None]) -> None:
    """Install the app, the profile and the customers (country codes by key) that are not there yet.

    Raises Conflict for a database that serves something else, and for books that belong to another database.
    """
    app = next((app for app in billing.apps.list(page_size=1000).items if app.name == APP_NAME), None)
    _check_books(app, billing, ledger)
    if app is None:
        app = billing.apps.install(
            "sandbox",
            name=APP_NAME,
            settings={"base_url": SANDBOX_URL},
            credentials={"token": TOKEN},
            mapping=MAPPING_RULES,
        )
    _have_profile(billing, app)
    for key, country in customers.items():
        _have_customer(billing, key, country)
        count(1)


def _check_books(app: App | None, billing: Namespace, ledger: Ledger) -> None:
    known = bool(ledger.documents())
    if app is None and known:
        raise Conflict(
            f"The ledger {ledger.path} holds documents that this database knows nothing of. "
            "Give the --db that belongs to it, or another --ledger.",
            "ledger_of_another_database",
        )
    if app is not None and not known and any(view.external_ids for view in billing.invoices.list().items):
        raise Conflict(
            f"The database holds documents of an earlier demo, but the ledger {ledger.path} is empty. "
            "Give the --ledger that belongs to it, or another --db.",
            "ledger_missing",
        )


def _have_profile(billing: Namespace, app: App) -> None:
    try:
        profile = billing.profiles.default()
    except NotFound:
        billing.profiles.create(
            PROFILE_NAME,
            supplier=Supplier(name="Online Retail", addresses=(Address(country="GB"),)),
            tax_app_id=app.id,
            invoicing_app_id=app.id,
            payment_app_id=app.id,
            is_default=True,
            workflow=UNTAXED,
        )
        return
    if profile.invoicing_app_id != app.id:
        raise Conflict(
            f"The database already bills through the profile {profile.name!r}. Give the demo a --db of its own.",
            "database_in_use",
        )


def _have_customer(billing: Namespace, key: str, country: str) -> None:
    try:
        billing.customers.get(key)
    except NotFound:
        address = Address(country=country)
        with suppress(Conflict):  # another demo on the same files made it at this very moment
            billing.customers.create(f"Customer {key}", key=key, addresses=(address,), currency=CURRENCY)

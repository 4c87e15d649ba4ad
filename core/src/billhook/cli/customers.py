"""The command group `customers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from billhook.cli.command import command
from billhook.cli.inputs import changed, pairs
from billhook.cli.options import AppId, repeatable
from billhook.cli.output import fields, paged, table
from billhook.cli.session import Session

if TYPE_CHECKING:
    from billhook.domain.party import Address
    from billhook.engine.records import Customer

group = typer.Typer(help="Who is invoiced.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id or key.")]
Text = Annotated[str | None, typer.Option()]
AddressParts = Annotated[
    list[str],
    repeatable("--address", "PART=TEXT", "country, postal_code, state, city, line1, line2. Repeatable."),
]
Metadata = Annotated[
    list[str],
    repeatable("--metadata", "NAME=VALUE"),
]
UnsetMetadata = Annotated[
    list[str],
    repeatable("--unset-metadata", "NAME", "Take an entry away. Repeatable."),
]


Currency = Annotated[
    str | None,
    typer.Option(
        help="That the customer is billed in; needed where an app keeps each customer in one currency, as QuickBooks does."
    ),
]


@command(group, "create")
def create(
    session: Session,
    name: Annotated[str, typer.Argument()],
    *,
    key: Annotated[str | None, typer.Option(help="What your own system calls the customer.")] = None,
    email: Text = None,
    tax_id: Text = None,
    currency: Currency = None,
    address: AddressParts,
    metadata: Metadata,
) -> None:
    """Create a customer."""
    with session.billing(create=True) as billing:
        customer = billing.customers.create(
            name,
            key=key,
            email=email,
            tax_id=tax_id,
            currency=currency,
            addresses=_addresses(address),
            metadata=pairs(metadata, "--metadata"),
        )
    _answer(session, customer)


@command(group, "list")
def list_customers(
    session: Session,
    page: Annotated[int, typer.Option()] = 1,
    page_size: Annotated[int, typer.Option()] = 100,
    deleted: Annotated[bool, typer.Option(help="Deleted ones too.")] = False,
) -> None:
    """The customers in the order in which they were made."""
    from billhook.engine.customer_search import CustomerFilter

    with session.billing() as billing:
        found = billing.customers.list(CustomerFilter(include_deleted=deleted), page=page, page_size=page_size)
    rows = [(entry.id, entry.key, entry.name, entry.party.email, entry.currency) for entry in found.items]
    session.answer(found, lambda: paged(found, ("id", "key", "name", "email", "currency"), rows))


@command(group, "show")
def show(session: Session, customer: Id) -> None:
    """One customer, with the profile that the next invoice gets."""
    with session.billing() as billing:
        _answer(session, billing.customers.get(customer))


@command(group, "update")
def update(
    session: Session,
    customer: Id,
    *,
    name: Text = None,
    key: Text = None,
    email: Text = None,
    tax_id: Text = None,
    currency: Currency = None,
    address: AddressParts,
    metadata: Metadata,
    unset_metadata: UnsetMetadata,
) -> None:
    """Change what is given, and bring it to every app that knows the customer."""
    changes: dict[str, Any] = {"name": name, "key": key, "email": email, "tax_id": tax_id, "currency": currency}
    with session.billing() as billing:
        if address:
            changes["addresses"] = _addresses(address)
        if metadata or unset_metadata:
            before, given = billing.customers.get(customer).metadata, pairs(metadata, "--metadata")
            changes["metadata"] = changed(before, given, unset_metadata, "--unset-metadata")
        stated = {field: value for field, value in changes.items() if value is not None}
        _answer(session, billing.customers.update(customer, **stated))


@command(group, "delete")
def delete(session: Session, customer: Id) -> None:
    """Delete a customer. Refused while an invoice of the customer is open."""
    with session.billing() as billing:
        found = billing.customers.get(customer)
        billing.customers.delete(found.id)
        _answer(session, billing.customers.get(found.id))


@command(group, "apps")
def list_known(session: Session, customer: Id) -> None:
    """The apps that know a customer, and how."""
    with session.billing() as billing:
        found = billing.customer_apps.list(billing.customers.get(customer).id)
    rows = [(known.app_id, known.external_id, known.payment_method, known.is_refused) for known in found]
    session.answer(found, lambda: table(("app", "external id", "payment method", "refused"), rows))


@command(group, "link")
def link(
    session: Session,
    customer: Id,
    app_id: AppId,
    *,
    external_id: Annotated[str | None, typer.Option(help="Who the customer is at the provider.")] = None,
    payment_method: Annotated[str | None, typer.Option(help="What the customer pays with there.")] = None,
    data: Annotated[
        list[str],
        repeatable("--data", "NAME=VALUE", "What else the app is to know. Repeatable."),
    ],
) -> None:
    """Let an app know a customer who is at its provider already. What is not named stays."""
    from billhook.engine.customer_apps import CustomerAppEntry

    given = {"external_id": external_id, "payment_method": payment_method, "data": pairs(data, "--data") or None}
    stated: dict[str, Any] = {field: value for field, value in given.items() if value is not None}
    with session.billing() as billing:
        (known,) = billing.customer_apps.set(billing.customers.get(customer).id, [CustomerAppEntry(app_id, **stated)])
    session.answer(known, lambda: fields(known.model_dump(mode="json")))


@command(group, "unlink")
def unlink(session: Session, customer: Id, app_id: AppId) -> None:
    """Forget how an app knows a customer. What the provider holds stays there.

    The next invoice brings the customer there anew: Xero and QuickBooks find the one that was made for it again, Stripe makes a second one.
    To name another, use `link`.
    """
    with session.billing() as billing:
        found = billing.customers.get(customer)
        billing.customer_apps.delete(found.id, app_id)
        known = billing.customer_apps.list(found.id)
    session.answer(known, lambda: f"The app {app_id} knows {found.id} no more.")


@command(group, "erase")
def erase(
    session: Session, customer: Id, yes: Annotated[bool, typer.Option("--yes", help="Don't ask.")] = False
) -> None:
    """Erase a customer's personal data for good. Amounts, lines and numbers stay."""
    with session.billing() as billing:
        found = billing.customers.get(customer)
        if not yes:
            typer.confirm(
                f"Erase name, addresses and e-mail of {found.name} everywhere? This can't be undone",
                abort=True,
                err=True,
            )
        result = billing.erase_customer(found.id)
    session.answer(result, lambda: f"The personal data of {found.id} were erased.")


def _addresses(parts: list[str]) -> tuple[Address, ...]:
    from billhook.domain.parsing import parse
    from billhook.domain.party import Address

    return (parse(Address, pairs(parts, "--address")),) if parts else ()


def _answer(session: Session, customer: Customer) -> None:
    shown = customer.model_dump(mode="json")
    session.answer(customer, lambda: fields({**shown.pop("party"), **shown}))

"""The command group `profiles`: which apps and which workflow invoices get."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from billhook.cli.command import command
from billhook.cli.inputs import json_object, settings
from billhook.cli.options import repeatable
from billhook.cli.output import fields, table
from billhook.cli.session import Session

if TYPE_CHECKING:
    from billhook.domain.party import Supplier
    from billhook.engine.records import BillingProfile

group = typer.Typer(help="Billing profiles: apps, workflow, who sells.", no_args_is_help=True)

ProfileId = Annotated[str, typer.Argument(metavar="PROFILE_ID", help="As in `profiles list`.")]
SupplierName = Annotated[str | None, typer.Option("--supplier", help="Who sells, by name.")]
SupplierFile = Annotated[Path | None, typer.Option(help="Who sells, with address and tax id, as JSON.")]
WorkflowValues = Annotated[
    list[str],
    repeatable("--workflow", "NAME=VALUE", "Such as due_after=P14D or auto_advance=false. Repeatable."),
]
WorkflowFile = Annotated[Path | None, typer.Option(help="The workflow as JSON; --workflow wins.")]
OneApp = Annotated[str | None, typer.Option()]


@command(group, "create")
def create(
    session: Session,
    name: Annotated[str, typer.Argument()],
    *,
    supplier: SupplierName = None,
    supplier_file: SupplierFile = None,
    app: Annotated[str | None, typer.Option(help="The app for tax, invoicing and payment.")] = None,
    tax_app: OneApp = None,
    invoicing_app: OneApp = None,
    payment_app: OneApp = None,
    default: Annotated[bool, typer.Option("--default", help="Serve every customer without an override.")] = False,
    workflow: WorkflowValues,
    workflow_file: WorkflowFile = None,
    description: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Create a billing profile."""
    from billhook.domain.parsing import parse
    from billhook.domain.workflow import WorkflowConfig

    with session.billing(create=True) as billing:
        profile = billing.profiles.create(
            name,
            supplier=_supplier(supplier, supplier_file),
            tax_app_id=_app(tax_app or app, "--tax-app"),
            invoicing_app_id=_app(invoicing_app or app, "--invoicing-app"),
            payment_app_id=_app(payment_app or app, "--payment-app"),
            is_default=default,
            workflow=parse(WorkflowConfig, settings(workflow, workflow_file, "--workflow")),
            description=description,
        )
    _answer(session, profile)


@command(group, "list")
def list_profiles(session: Session, deleted: Annotated[bool, typer.Option(help="Deleted ones too.")] = False) -> None:
    """The profiles in the order in which they were made."""
    with session.billing() as billing:
        found = billing.profiles.list(include_deleted=deleted, page_size=1000)
    rows = [
        (entry.id, entry.name, entry.is_default, entry.supplier.name, entry.invoicing_app_id) for entry in found.items
    ]
    session.answer(found, lambda: table(("id", "name", "default", "supplier", "invoicing app"), rows))


@command(group, "show")
def show(session: Session, profile_id: ProfileId) -> None:
    """One profile."""
    with session.billing() as billing:
        _answer(session, billing.profiles.get(profile_id))


@command(group, "update")
def update(
    session: Session,
    profile_id: ProfileId,
    *,
    name: Annotated[str | None, typer.Option()] = None,
    supplier: SupplierName = None,
    supplier_file: SupplierFile = None,
    default: Annotated[bool, typer.Option("--default", help="Make it the default in place of the one before.")] = False,
    workflow: WorkflowValues,
    workflow_file: WorkflowFile = None,
    description: Annotated[str | None, typer.Option()] = None,
) -> None:
    """Change what is given. Workflow values that are not named stay; invoices that are there keep theirs."""
    with session.billing() as billing:
        changes: dict[str, Any] = {"name": name, "description": description, "is_default": default or None}
        changes["supplier"] = dict(_supplier(supplier, supplier_file)) if supplier or supplier_file else None
        changes["workflow"] = settings(workflow, workflow_file, "--workflow")
        stated = {field: value for field, value in changes.items() if value is not None}
        _answer(session, billing.profiles.amend(profile_id, **stated))


@command(group, "delete")
def delete(session: Session, profile_id: ProfileId) -> None:
    """Delete a profile that is neither the default nor named by an override."""
    with session.billing() as billing:
        billing.profiles.delete(profile_id)
        _answer(session, billing.profiles.get(profile_id))


def _app(app_id: str | None, option: str) -> str:
    if app_id is None:
        raise typer.BadParameter("Name the app, or one for all three roles with --app.", param_hint=option)
    return app_id


def _supplier(name: str | None, file: Path | None) -> Supplier:
    from billhook.domain.parsing import parse
    from billhook.domain.party import Supplier

    if name is None and file is None:
        raise typer.BadParameter("Say who sells.", param_hint="--supplier or --supplier-file")
    return parse(Supplier, {**(json_object(file) if file else {}), **({"name": name} if name else {})})


def _answer(session: Session, profile: BillingProfile) -> None:
    session.answer(profile, lambda: fields(profile.model_dump(mode="json")))

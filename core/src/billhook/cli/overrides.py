"""The command group `overrides`: what single customers get instead of the default profile."""

from __future__ import annotations

from typing import Annotated

import typer

from billhook.cli.command import command
from billhook.cli.customers import Id
from billhook.cli.inputs import settings
from billhook.cli.output import fields
from billhook.cli.profiles import WorkflowFile, WorkflowValues
from billhook.cli.session import Session

group = typer.Typer(help="What single customers get instead of the default profile.", no_args_is_help=True)


@command(group, "set")
def set_override(
    session: Session,
    customer: Id,
    *,
    profile: Annotated[str | None, typer.Option(help="Another profile, by id.")] = None,
    workflow: WorkflowValues,
    workflow_file: WorkflowFile = None,
) -> None:
    """Give a customer another profile, other workflow values, or both. Replaces the override that was there."""
    from billhook.domain.parsing import parse
    from billhook.domain.workflow import WorkflowConfig

    stated = settings(workflow, workflow_file, "--workflow")
    with session.billing() as billing:
        customer_id = billing.customers.get(customer).id
        parsed = parse(WorkflowConfig, stated) if stated else None
        override = billing.overrides.set(customer_id, profile_id=profile, workflow=parsed)
    session.answer(override, lambda: fields(override.model_dump(mode="json", exclude_unset=True)))


@command(group, "show")
def show(session: Session, customer: Id) -> None:
    """A customer's override, and the profile and workflow that the next invoice gets."""
    with session.billing() as billing:
        resolved = billing.overrides.resolve(billing.customers.get(customer).id)
    override = resolved.override.model_dump(mode="json", exclude_unset=True) if resolved.override else None
    answer = {
        "customer_id": resolved.customer.id,
        "override": override,
        "profile_id": resolved.profile.id,
        "profile": resolved.profile.name,
        "workflow": resolved.workflow.model_dump(mode="json"),
    }
    session.answer(answer, lambda: fields(answer))


@command(group, "clear")
def clear(session: Session, customer: Id) -> None:
    """Let the customer have the default again."""
    with session.billing() as billing:
        customer_id = billing.customers.get(customer).id
        billing.overrides.delete(customer_id)
    session.answer({"customer_id": customer_id, "override": None}, lambda: f"{customer_id} has the default again.")

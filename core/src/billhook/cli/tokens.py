"""The command group `tokens`: who may call the server."""

from __future__ import annotations

from typing import Annotated

import typer

from billhook.cli.command import command
from billhook.cli.output import table
from billhook.cli.session import Session

group = typer.Typer(help="Tokens of those who may call the server.", no_args_is_help=True)


@command(group, "create")
def create(
    session: Session,
    *,
    role: Annotated[str, typer.Option(help="read, integrate (also calls back), or admin (also configures).")],
    name: Annotated[str | None, typer.Option(help="Who is to use it.")] = None,
) -> None:
    """Print a new token, which can't be shown again. It opens one namespace, as far as its role goes."""
    with session.engine(create=True) as engine:
        made = engine.tokens.create(session.namespace, role, name=name)
    session.answer({**made.record.model_dump(mode="json"), "token": made.token}, lambda: made.token)


@command(group, "list")
def list_tokens(session: Session) -> None:
    """The namespace's tokens, revoked ones too. The tokens themselves are stored nowhere."""
    with session.engine() as engine:
        found = engine.tokens.list(session.namespace)
    rows = [(token.id, token.role, token.name, token.created_at, token.revoked_at) for token in found]
    session.answer({"items": found}, lambda: table(("id", "role", "name", "created", "revoked"), rows))


@command(group, "revoke")
def revoke(
    session: Session, token_id: Annotated[str, typer.Argument(metavar="TOKEN_ID", help="As in `tokens list`.")]
) -> None:
    """Let nobody in with that token any more. Servers notice within ten seconds."""
    with session.engine() as engine:
        token = engine.tokens.revoke(session.namespace, token_id)
    session.answer(token, lambda: f"The token {token.id} is revoked.")

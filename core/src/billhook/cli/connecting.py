"""The command `apps connect`: a person signs in at the provider, and comes back with a grant."""

from __future__ import annotations

import sys
import webbrowser
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated
from urllib.parse import parse_qsl, urlsplit

import typer

from billhook.cli.command import command
from billhook.cli.inputs import json_object, secrets
from billhook.cli.inside import given_settings
from billhook.cli.options import Asked, FromEnvironment, MappingFile, Settings, SettingsFile, repeatable
from billhook.cli.output import table
from billhook.cli.session import Session
from billhook.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from billhook.contract.results import Account
    from billhook.engine.connecting import Authorization
    from billhook.engine.namespace import Namespace
    from billhook.engine.records import App

PORT = 8731
PATIENCE_SECONDS = 600.0


def register(group: typer.Typer) -> None:
    """Add the command."""
    command(group, "connect")(connect)


def connect(
    session: Session,
    what: Annotated[
        str, typer.Argument(metavar="TYPE|APP_ID", help="A provider to install, or an app to connect again.")
    ],
    *,
    account: Annotated[list[str], repeatable("--account", "ID", "Which account to install. Repeatable.")],
    name: Annotated[str | None, typer.Option(help="The account's own where none is given.")] = None,
    set: Settings,
    settings_file: SettingsFile = None,
    mapping_file: MappingFile = None,
    credential: Asked,
    credential_env: FromEnvironment,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open a browser, or print the address.")
    ] = True,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Come back to http://localhost:PORT/callback; 0 takes any free port.")
    ] = PORT,
    redirect_uri: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="Come back to this address instead; then paste where the browser ended up."
        ),
    ] = None,
) -> None:
    """Sign in at a provider, choose accounts there, and have an app for each.

    The address to come back to must be registered with the provider. Accounts of one sign-in share its grant; an account that has an app
    already keeps it, and is connected again.
    """
    given = secrets(credential, credential_env) or {}
    with session.billing(create=True) as billing:
        known = _app(billing, what)

        def begin(uri: str) -> Authorization:
            if known is not None:
                return billing.connecting.begin_again(known.id, redirect_uri=uri, credentials=given)
            chosen = given_settings(what, set, settings_file)
            return billing.connecting.begin(what, redirect_uri=uri, settings=chosen, credentials=given)

        if redirect_uri is not None:
            authorization = begin(redirect_uri)
            returned = _pasted(authorization)
        else:
            from billhook.cli.loopback import listening

            with listening(port) as loopback:
                authorization = begin(loopback.uri)
                loopback.expect(authorization.state)
                _show(authorization, browser=browser)
                returned = loopback.wait(PATIENCE_SECONDS)
        grant = billing.connecting.finish(authorization, returned)
        accounts = [] if known is not None else _chosen(grant.accounts, account)
        mapping = json_object(mapping_file) if mapping_file else None
        apps = billing.connecting.keep(grant, accounts, name=name, mapping=mapping)
    rows = [(app.id, app.type, app.name, app.status) for app in apps]
    session.answer({"items": apps}, lambda: table(("id", "type", "name", "status"), rows))


def _app(billing: Namespace, what: str) -> App | None:
    """The app of that id; None when it names a provider."""
    try:
        return billing.apps.get(what)
    except NotFound:
        return None


def _show(authorization: Authorization, *, browser: bool) -> None:
    if browser and webbrowser.open(authorization.url):
        print(f"Grant access to {authorization.app.name} in the browser that was opened.", file=sys.stderr, flush=True)
        return
    print(f"Open this address and grant access:\n{authorization.url}", file=sys.stderr, flush=True)


def _pasted(authorization: Authorization) -> Mapping[str, str]:
    _show(authorization, browser=False)
    print("Then paste the address at which the browser ended up:", file=sys.stderr, flush=True)
    return dict(parse_qsl(urlsplit(sys.stdin.readline().strip()).query))


def _chosen(found: Sequence[Account], wanted: Sequence[str]) -> list[Account]:
    """The accounts that were named, the only one, or those that the person picks."""
    if wanted:
        return [_named(found, one) for one in wanted]
    if len(found) <= 1:
        return list(found)
    if not sys.stdin.isatty():
        raise ConfigError(
            f"The grant reaches several accounts: {_listed(found)}. Name those to install with --account."
        )
    for place, account in enumerate(found, 1):
        print(f"{place:3}  {account.name}  {account.id}", file=sys.stderr)
    answer = str(typer.prompt("Which? Numbers with commas between them", err=True))
    return [_numbered(found, number) for number in answer.replace(",", " ").split()]


def _named(found: Sequence[Account], wanted: str) -> Account:
    for account in found:
        if wanted in {account.id, account.name}:
            return account
    raise ConfigError(f"The grant does not reach an account {wanted!r}, but {_listed(found)}. Name one of these.")


def _numbered(found: Sequence[Account], number: str) -> Account:
    if not number.isdigit() or not 1 <= int(number) <= len(found):
        raise typer.BadParameter(f"{number!r} is not one of 1 to {len(found)}.")
    return found[int(number) - 1]


def _listed(accounts: Sequence[Account]) -> str:
    return ", ".join(f"{account.name} ({account.id})" for account in accounts) or "none"

"""The command `setup`: everything that custom invoicing needs, asked for or given, in one go."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.command import command
from billhook.cli.output import table
from billhook.cli.session import Session
from billhook.cli.setting_up import (
    BOTH_HOOKS,
    EVERYBODY,
    Preset,
    ProfileWish,
    Step,
    check,
    find_app,
    find_profile,
    has_default,
    keep_app,
    keep_channel,
    keep_default,
    keep_override,
    keep_profile,
    keep_rules,
)

if TYPE_CHECKING:
    from billhook.engine.namespace import Namespace
    from billhook.engine.records import App, BillingProfile

NAME = "Custom Invoicing"
HOOKS: Mapping[str, str] = {
    "enable_draft_sync_hook": "Wait for a call when a draft is complete?",
    "enable_issuing_sync_hook": "Wait for a call when an invoice is to be issued?",
}


class Questions:
    """Asks for what no option says. Where nobody is there to answer, the usual is taken."""

    def __init__(self, *, may_ask: bool) -> None:
        self._may_ask = may_ask

    def text(self, question: str, given: str | None, usual: str | None = None) -> str | None:
        """A text; None where there is nothing usual and nobody to ask."""
        if given is not None or not self._may_ask:
            return usual if given is None else given
        return str(typer.prompt(question, default=usual, err=True))

    def yes(self, question: str, given: bool | None, *, usual: bool) -> bool:
        """Yes or no."""
        if given is not None or not self._may_ask:
            return usual if given is None else given
        return typer.confirm(question, default=usual, err=True)

    def preset(self, given: Preset | None, usual: Preset) -> Preset | None:
        """A preset; None, which leaves what is there, where nobody is there to ask."""
        if given is not None or not self._may_ask:
            return given
        choice = " or ".join(Preset)
        answer = self.text(f"How does the money come, by {choice}?", None, usual.value)
        if answer not in set(Preset):
            raise typer.BadParameter(f"{answer!r} is not {choice}.", param_hint="--preset")
        return Preset(answer)


def register(group: typer.Typer) -> None:
    """Add the command."""
    command(group, "setup")(setup)


def setup(
    session: Session,
    *,
    app: Annotated[str | None, typer.Option(metavar="NAME", help=f"Of the app. [default: {NAME}]")] = None,
    draft_sync: Annotated[
        bool | None,
        typer.Option("--draft-sync/--no-draft-sync", help="Wait for a call when a draft is complete."),
    ] = None,
    issuing_sync: Annotated[
        bool | None,
        typer.Option("--issuing-sync/--no-issuing-sync", help="Wait for a call when an invoice is to be issued."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the billing profile. [default: the app's]")
    ] = None,
    preset: Annotated[Preset | None, typer.Option(help="Collect by a stored method, or send the invoice.")] = None,
    due_after: Annotated[str | None, typer.Option(metavar="DURATION", help="Such as P14D.")] = None,
    supplier: Annotated[str | None, typer.Option(metavar="NAME", help="Who sells.")] = None,
    country: Annotated[str | None, typer.Option(metavar="CODE", help="Where the supplier is, such as DE.")] = None,
    webhook: Annotated[
        str | None, typer.Option(metavar="URL", help="Where your program is told of invoices; none where it asks.")
    ] = None,
    allow_private_targets: Annotated[
        bool,
        typer.Option("--allow-private-targets", help="Let that be a private address or plain http: for development."),
    ] = False,
    default: Annotated[bool, typer.Option("--default", help="Serve every customer without an override.")] = False,
    customer: Annotated[
        str | None, typer.Option(metavar="CUSTOMER", help="Serve this customer only, by id or key.")
    ] = None,
    ask: Annotated[
        bool | None, typer.Option("--ask/--no-ask", help="Ask for what is not given. [default: at a terminal]")
    ] = None,
) -> None:
    """Set up custom invoicing: an app with its two switches, a billing profile, whom it serves, and who is told.

    What is there already is found by its name and changed as far as it differs; doing it again changes nothing.
    """
    if default and customer is not None:
        raise typer.BadParameter("Serve everybody or one customer, not both.", param_hint="--default")
    questions = Questions(may_ask=_may_ask(session) if ask is None else ask)
    from billhook.engine.notifications.targets import Targets

    with session.engine(create=True, targets=Targets(allow_private=allow_private_targets)) as engine:
        billing = engine.namespace(session.namespace)
        app_name = str(questions.text("How is the app called?", app, NAME))
        known = find_app(billing, app_name)
        hooks = _hooks(
            questions, known, {"enable_draft_sync_hook": draft_sync, "enable_issuing_sync_hook": issuing_sync}
        )
        given = ProfileWish(profile or app_name, preset, due_after, supplier, country)
        before = find_profile(billing, given.name, known)
        wish = _wish(questions, given, before)
        serves = EVERYBODY if default else _serves(questions, billing, before, customer)
        told = questions.text("At which address is your program told of invoices? Empty for none", webhook, "")
        check(billing, wish, before, serves)
        if told:
            engine.context.targets.check(told)
        steps = list(_set_up(billing, app_name, hooks, wish, serves))
        secret = _tell(billing, app_name, told, steps) if told else None
    rows = [(step.thing, step.did.value, step.name, step.id) for step in steps]
    secrets = {"signing_secret": secret} if secret else {}
    session.answer({"steps": steps, **secrets}, lambda: table(("what", "was", "name", "id"), rows))
    if secret and not session.as_json:
        print(f"What is sent there is signed with {secret}")


def _may_ask(session: Session) -> bool:
    return sys.stdin.isatty() and not session.as_json


def _hooks(questions: Questions, known: App | None, given: Mapping[str, bool | None]) -> dict[str, bool]:
    usual = BOTH_HOOKS if known is None else known.settings
    return {
        name: questions.yes(HOOKS[name], switch, usual=bool(usual.get(name, False))) for name, switch in given.items()
    }


def _wish(questions: Questions, given: ProfileWish, known: BillingProfile | None) -> ProfileWish:
    if known is not None:
        return given
    return ProfileWish(
        given.name,
        questions.preset(given.preset, Preset.AUTO_COLLECTION),
        given.due_after,
        questions.text("Who sells?", given.supplier),
        questions.text("In which country is that, such as DE?", given.country),
    )


def _serves(
    questions: Questions, billing: Namespace, before: BillingProfile | None, customer: str | None
) -> str | None:
    """Everybody, one customer by id or key, or nobody yet."""
    is_default = before.is_default if before is not None else not has_default(billing)
    usual = EVERYBODY if is_default else None
    return questions.text(f"Whom does it serve: {EVERYBODY}, or one customer by id or key?", customer, usual)


def _set_up(
    billing: Namespace, app_name: str, hooks: Mapping[str, bool], wish: ProfileWish, serves: str | None
) -> Iterator[Step]:
    app, step = keep_app(billing, app_name, hooks)
    yield step
    profile, step = keep_profile(billing, wish, app)
    yield step
    if serves == EVERYBODY:
        yield keep_default(billing, profile)
    elif serves is not None:
        yield keep_override(billing, profile, serves)


def _tell(billing: Namespace, name: str, url: str, steps: list[Step]) -> str:
    channel, step = keep_channel(billing, name, url)
    steps += [step, *keep_rules(billing, channel)]
    return channel.signing_secret.get_secret_value()

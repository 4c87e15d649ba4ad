"""The command `check`: whether a provider keeps the contract."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from billhook.cli.command import command
from billhook.cli.exits import REFUSED
from billhook.cli.session import Session

if TYPE_CHECKING:
    from billhook.testing.kit.check import Tier


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "check", shared=("as_json",))(check)


def check(
    session: Session,
    *,
    provider: Annotated[str, typer.Argument(help="As in `providers list`.")],
    tier: Annotated[str, typer.Option(help="How far: bronze, silver or gold.")] = "gold",
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same examination.")] = 0,
    html: Annotated[Path | None, typer.Option("--html", help="Write the report as a page to this file, too.")] = None,
    only: Annotated[
        list[str] | None, typer.Option("--check", help="This check alone; several times for several.")
    ] = None,
    fault: Annotated[str | None, typer.Option(help="Strike with this alone, as a failed check names it.")] = None,
    step: Annotated[int | None, typer.Option(min=1, help="Strike at this request alone.")] = None,
) -> None:
    """Examine a provider: whether it tells the truth (bronze), is correct (silver) and survives (gold). Ends with 1 below the tier.

    What goes over the wire goes to the provider's simulator; nothing leaves this machine.
    """
    from billhook.testing.kit.examine import check_named, examine
    from billhook.testing.kit.report import as_page, as_text
    from billhook.testing.kit.subject import Subject

    checks = [check_named(name) for name in only] if only else None
    report = examine(Subject.named(provider), tier=_tier(tier), seed=seed, checks=checks, fault=fault, step=step)
    if html is not None:
        html.write_text(as_page(report), encoding="utf-8")
    session.answer(report.as_json(), lambda: as_text(report))
    if report.failures:
        raise typer.Exit(REFUSED)


def _tier(name: str) -> Tier:
    from billhook.errors import InvalidInput
    from billhook.testing.kit.check import Tier

    if name not in tuple(Tier):
        raise InvalidInput("tier_unknown", f"There is no tier {name!r}. Use one of: {', '.join(Tier)}.", "/tier")
    return Tier(name)

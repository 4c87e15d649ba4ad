"""The page of states: the lifecycle as it is drawn from its own table."""

from __future__ import annotations

from billhook.domain import transitions
from billhook.domain.diagram import mermaid, table_markdown
from generators.source import cell, clean, table

INTRO = """\
# States

Made from the code. This is the table that the engine itself follows: nothing outside it ever changes an invoice. The names are OpenMeter's. A trigger
with a guard, in brackets, is taken only while the guard holds.
"""


def page() -> str:
    """The page."""
    guards = {row.guard for row in transitions.TRANSITIONS if row.guard is not None}
    rows = sorted((guard.__name__.replace("_", " "), cell(clean(guard.__doc__))) for guard in guards)
    return "\n\n".join(
        [
            INTRO.strip(),
            f"```mermaid\n{mermaid()}```",
            "## Every state",
            "*Waits for* lists what a state asks of which app on entry; the first that is needed comes first.",
            table_markdown().strip(),
            "## Guards",
            table(("guard", "holds when"), rows).strip(),
            "## Where it differs from OpenMeter on purpose",
            _deviations(),
        ]
    )


def _deviations() -> str:
    _before, _heading, listed = (transitions.__doc__ or "").partition("on purpose:")
    return listed.strip()

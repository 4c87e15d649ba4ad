"""The lifecycle drawn from its table, for the docs. Nothing here is kept by hand."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from billhook.domain.states import State
from billhook.domain.transitions import STATES, TRANSITIONS, TRANSITIONS_FROM, Guard, Transition


def mermaid() -> str:
    """The whole lifecycle as a Mermaid state diagram."""
    return "\n".join(["stateDiagram-v2", *_mermaid_lines()]) + "\n"


def table_markdown() -> str:
    """The whole lifecycle as a Markdown table: a row for each state, in the order an invoice meets them."""
    head = "| state | trigger → next state | waits for | nature |\n| --- | --- | --- | --- |\n"
    return head + "".join(map(_table_row, State))


def _mermaid_lines() -> Iterator[str]:
    for state in State:
        yield f'    state "{state}" as {_identifier(state)}'
    yield f"    [*] --> {_identifier(State.DRAFT_CREATED)}"
    for (state, to), rows in groupby(TRANSITIONS, key=lambda row: (row.state, row.to)):
        labels = " / ".join(map(_arrow_label, rows))
        yield f"    {_identifier(state)} --> {_identifier(to)}: {labels}"
    for state in State:
        if not TRANSITIONS_FROM[state]:
            yield f"    {_identifier(state)} --> [*]"


def _identifier(state: State) -> str:
    return state.replace(".", "_")


def _arrow_label(row: Transition) -> str:
    return f"{row.trigger} [{_words(row.guard)}]" if row.guard else row.trigger


def _table_row(state: State) -> str:
    cells = (f"`{state}`", _exits(state), _work(state), _nature(state))
    return f"| {' | '.join(cells)} |\n"


def _exits(state: State) -> str:
    rows = [row for rows in TRANSITIONS_FROM[state].values() for row in rows]
    return "<br>".join(f"{_arrow_label(row)} → `{row.to}`" for row in rows) or "none"


def _work(state: State) -> str:
    return "<br>".join(f"{entry.role}: {entry.operation}" for entry in STATES[state].entry) or "-"


def _nature(state: State) -> str:
    info = STATES[state]
    natures = {"mutable": info.mutable, "failed": info.failed, "final": info.final}
    return ", ".join(nature for nature, holds in natures.items() if holds) or "-"


def _words(guard: Guard) -> str:
    return guard.__name__.replace("_", " ")

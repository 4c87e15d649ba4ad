"""The number series of one namespace, and the proof that they have no gaps."""

from __future__ import annotations

from billhook.domain.numbering import GapAudit
from billhook.engine.arguments import checked
from billhook.engine.context import Context
from billhook.engine.number_series import SeriesCommands
from billhook.engine.numbers import Numbers


@checked
class NumberCommands(SeriesCommands):
    """Defining series, and auditing them."""

    def __init__(self, context: Context, namespace: str, numbers: Numbers) -> None:
        super().__init__(context, namespace)
        self._numbers = numbers

    def audit(self, series_name: str) -> dict[str, GapAudit]:
        """What is missing, repeated or cancelled in each counter of a gapless series, by counter.

        Raises NotFound, and InvalidInput for an independent series.
        """
        return self._numbers.audit(self._namespace, series_name)

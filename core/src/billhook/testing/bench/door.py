"""How long a newcomer waits: whole processes that import billhook or print its help, against one that imports typer and rich."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from time import perf_counter

from billhook.testing.bench.figures import Figure, Sheet

FLOOR = "import typer, rich"
IMPORT = "import billhook"
HELP = "import sys; sys.argv = ['billhook', '--help']; from billhook.cli import main; main()"


def measure_door(rounds: int) -> list[Figure]:
    """Each of the three as a process of its own, in turn."""
    seconds: dict[str, list[float]] = {FLOOR: [], IMPORT: [], HELP: []}
    for code in seconds:
        _process_seconds(code)  # writes the byte code, which every later start finds
    for _ in range(rounds):
        for code, times in seconds.items():
            times.append(_process_seconds(code))
    sheet = Sheet("door", "", 1)
    ratio = partial(sheet.ratio, below=seconds[FLOOR], divided_by=f'python -c "{FLOOR}"')
    return [
        ratio("import billhook", seconds[IMPORT]),
        ratio("billhook --help", seconds[HELP]),
        sheet.figure(FLOOR, "ms", [1000 * each for each in seconds[FLOOR]], "one process"),
    ]


def _process_seconds(code: str) -> float:
    began = perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own words
    return perf_counter() - began

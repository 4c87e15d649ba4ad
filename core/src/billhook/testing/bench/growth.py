"""What an invoice costs in a table that has grown: the same work beside a few rows and beside many, and how much room they take."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from billhook.store import schema
from billhook.store.columns import PREFIX
from billhook.testing.bench.figures import Figure, Sheet, timed_seconds
from billhook.testing.bench.scene import engine_on, prepare_empty, submit
from billhook.testing.bench.stores import SQLITE, Store

PATTERN = 500
"""So many real invoices are made by the engine; all further rows are copies of theirs under other ids."""
COPIES_AT_ONCE = 40
MIB = 1024 * 1024

# Ids of copies begin with their number, so that they sort before those of the pattern, which begin with a time.
_FIRST_REAL = "01"
_NUMBER_LENGTH = 10
# Which columns tell one invoice's rows from another's: those that hold ids, and the key of the host.
COPIED: dict[str, tuple[str, ...]] = {
    "invoice": ("id", "client_key"),
    "document_body": ("document_id",),
    "document_mapping": ("document_id",),
    "document_link": ("document_id",),
    "event": ("document_id", "operation_id"),
    "payment": ("id", "invoice_id"),
    "operation": ("id",),
    "attempt": ("id", "operation_id"),
}


def measure_growth(store: Store, n: int, rounds: int, few: int, many: int) -> list[Figure]:
    """``n`` invoices through three steps, in turn beside ``few`` invoices and beside ``many``."""
    small, large = store.fresh(), store.fresh()
    fill(store, small, few, customers_for=n)
    fill(store, large, many, customers_for=n)
    room = [store.bytes_on_disk(large) / many]
    seconds: dict[str, list[float]] = {small: [], large: []}
    for number in range(rounds):
        for url, times in seconds.items():
            submit(url, n, f"round-{number}")
            store.settle(url)
            times.append(_work_seconds(url))
    memory = {url: _peak_memory(store, url, n) for url in seconds}
    store.drop(small)
    store.drop(large)
    beside = f"the same beside {few} invoices"
    sheet = Sheet(f"{many} invoices", store.name, n)
    return [
        sheet.ratio("time per invoice, 3 steps", seconds[large], seconds[small], beside),
        sheet.figure("time per invoice, 3 steps", "ms", [1000 * each / n for each in seconds[large]], f"{n} invoices"),
        sheet.ratio("peak memory", [memory[large]], [memory[small]], beside),
        sheet.figure("peak memory of a process", "MiB", [memory[large] / MIB], "one process"),
        sheet.figure("room on disk", "B", room, f"{many} invoices"),
    ]


def fill(store: Store, url: str, invoices: int, *, customers_for: int = 0) -> None:
    """A database with so many invoices, all paid: a few hundred real ones and copies of them. ``customers_for`` so many more to come."""
    pattern = min(invoices, PATTERN)
    prepare_empty(url, max(pattern, customers_for))
    submit(url, pattern, "pattern")
    _work_seconds(url)
    store.run(url, list(copy_statements(store.name, invoices // pattern - 1)))
    store.settle(url)


def copy_statements(dialect: str, copies: int) -> Iterator[str]:
    """SQL that copies every invoice so many times, some at once, so that no transaction grows too long."""
    for first in range(1, copies + 1, COPIES_AT_ONCE):
        last = min(first + COPIES_AT_ONCE - 1, copies)
        for name, columns in COPIED.items():
            yield _copy_statement(dialect, f"{PREFIX}{name}", columns, first, last)


def _copy_statement(dialect: str, table: str, other: Sequence[str], first: int, last: int) -> str:
    columns = [column.name for column in schema.metadata.tables[table].columns]
    number = f"printf('%0{_NUMBER_LENGTH}d', k)" if dialect == SQLITE else f"lpad(k::text, {_NUMBER_LENGTH}, '0')"
    copied = [f"{number} || substr({name}, {_NUMBER_LENGTH + 1})" if name in other else name for name in columns]
    if "client_key" in other:
        copied[columns.index("client_key")] = "client_key || '-' || k"
    if dialect == SQLITE:
        numbers = (
            f"(WITH RECURSIVE n(k) AS (SELECT {first} UNION ALL SELECT k + 1 FROM n WHERE k < {last}) SELECT k FROM n)"
        )
    else:
        numbers = f"generate_series({first}, {last}) AS numbers(k)"
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(copied)} FROM {table}, {numbers} "
        f"WHERE {other[0]} >= '{_FIRST_REAL}'"
    )


def _work_seconds(url: str) -> float:
    with engine_on(url) as engine:
        return timed_seconds(engine.run_until_idle)


def _peak_memory(store: Store, url: str, n: int) -> int:
    """What a process of its own needs at most, in bytes, to carry ``n`` invoices."""
    submit(url, n, "memory")
    store.settle(url)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_work_and_weigh, url).result()


def _work_and_weigh(url: str) -> int:
    _work_seconds(url)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

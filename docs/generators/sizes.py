"""How long each provider is, and in which part: lines of code, without blank lines, comments and docstrings."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from generators.source import ROOT, code, table

PARTS = ("declaration", "mapping", "operations", "reading", "simulator")
MODULES: Mapping[str, tuple[str, ...]] = {
    "declaration": ("__init__", "config", "declaration", "settings"),
    "mapping": (
        *("accounts", "amounts", "contacts", "currencies", "encoding", "instructions", "lines", "mandates", "marks"),
        *("money", "names", "organisation", "preflight", "representation", "sdk", "validation", "wire"),
    ),
    "operations": (
        *("collecting", "company", "crediting", "custom_invoicing", "invoicing", "oauth", "provider", "requests"),
        "tokens",
    ),
    "reading": ("findings", "incoming", "linking", "lookups", "paying", "reading", "receiving", "refusals", "webhooks"),
}
"""What a module of a provider is for, by its name. What lies in a folder `simulator` is the simulator."""
SANDBOX_PROVIDER = frozenset(
    {"__init__", "config", "encoding", "findings", "incoming", "provider", "reading", "requests"}
)
"""The sandbox's simulator lies beside its provider, which is these modules."""
WHY: Mapping[str, str] = {
    "custom_invoicing": "Short: a program outside does everything, so its operations only wait for it.",
    "gocardless": "Debits settle days later and can fail late, so much of it reads states, and refusals that need a person.",
    "manual": "Short, because nobody outside is asked; half of it checks account numbers and writes instructions.",
    "paypal": "Invoicing has no keys, so each request is found again in its own way, and what PayPal would compute otherwise is "
    "found before it is sent.",
    "quickbooks": "QuickBooks computes taxes and discounts by itself and has no drafts: its totals are predicted, documents are "
    "marked so that they are found again, and its refusals are put into words.",
    "sandbox": "It does nearly every operation, in batches wherever that can be, to show each; its simulator has books of its own.",
    "stripe": "An invoice takes several requests, each recovered in its own way; lines are written so that Stripe's total can't "
    "differ; and payments are made with an invoice there and without.",
    "xero": "Xero's own arithmetic has to be met line by line, its refusals are prose, and contacts need names that nobody else has.",
}
"""What made each long, or kept it short."""

Sizes = Counter[str]


def section(known: Mapping[str, Sizes]) -> Iterator[str]:
    """The part of the page."""
    yield "## How long they are"
    yield (
        "Lines of code, without blank lines, comments and docstrings. Variants of a provider share its code. "
        "They are of the day of the report; `python3 noxfile.py -s docs -- --sizes` prints those of today."
    )
    yield as_table(known)
    yield "\n".join(f"- {code(name)}: {WHY[name]}" for name in known if name in WHY)


def as_table(known: Mapping[str, Sizes]) -> str:
    """A row a provider, with its parts and what they come to without the simulator."""
    rows = ((code(name), *(str(size[part]) for part in PARTS), str(_own(size))) for name, size in known.items())
    return table(("provider", *PARTS, "without simulator"), rows)


def _own(size: Sizes) -> int:
    return size.total() - size["simulator"]


def sizes() -> Mapping[str, Sizes]:
    """Lines of code by part, by provider."""
    core = ROOT / "core/src/billhook"
    found = {
        "custom_invoicing": _size([core / "providers/custom_invoicing.py"]),
        "sandbox": _size(sorted((core / "testing/sandbox").glob("*.py")), simulator_apart_from=SANDBOX_PROVIDER),
    }
    for package in (package for group in ("plugins", "contrib") for package in ROOT.glob(f"{group}/*/src/billhook_*")):
        described = (package.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
        if '"billhook.providers"' in described:
            found[package.name.removeprefix("billhook_")] = _size(sorted(package.rglob("*.py")))
    return dict(sorted(found.items()))


def _size(modules: list[Path], simulator_apart_from: frozenset[str] | None = None) -> Sizes:
    size: Sizes = Counter()
    for module in modules:
        is_simulator = "simulator" in module.parts or (simulator_apart_from and module.stem not in simulator_apart_from)
        size["simulator" if is_simulator else part_of(module)] += lines_of_code(module.read_text(encoding="utf-8"))
    return size


def part_of(module: Path) -> str:
    """The part that a module of a provider belongs to. Raises LookupError for a name that is not known yet."""
    for part, names in MODULES.items():
        if module.stem in names:
            return part
    raise LookupError(f"{module.relative_to(ROOT)} belongs to no part of a provider. Name it in {Path(__file__).name}.")


def lines_of_code(source: str) -> int:
    """How many lines hold code: statements, wherever they stand, and no docstrings."""
    tree = ast.parse(source)
    docstrings = {line for node in ast.walk(tree) for line in _docstring_lines(node)}
    lines = enumerate(source.splitlines(), start=1)
    return sum(bool(line.strip()) and not line.strip().startswith("#") and at not in docstrings for at, line in lines)


def _docstring_lines(node: ast.AST) -> range:
    """Of a text that stands by itself, as docstrings do."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return range(0)

"""The page of types: everything that a provider imports from billhook.contract."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from billhook import contract
from billhook.contract import (
    declaration,
    events,
    items,
    numbers,
    outcomes,
    provider,
    requests,
    results,
    verdict,
    webhooks,
)
from billhook.domain import invoice, issue, mapped_line, party
from generators.source import ClassSource, aliases_in, cell, classes_in, code, table

INTRO = """\
# Types

Made from the code. What a provider needs is imported from `billhook.contract`. All values are frozen. A field without a default must be given.
"""

TAGS = frozenset({"kind", "level"})  # tell the members of a union apart on the wire

SECTIONS: tuple[tuple[str, ModuleType, frozenset[str]], ...] = (
    ("Requests and recovery", requests, frozenset()),
    ("What an answer says", verdict, frozenset()),
    ("Outcomes", outcomes, frozenset()),
    ("Results", results, frozenset()),
    ("Items and batches", items, frozenset()),
    ("Numbers", numbers, frozenset()),
    ("Webhooks", webhooks, frozenset()),
    ("Declaration", declaration, frozenset()),
    ("Base class", provider, frozenset()),
    ("Events for observers", events, frozenset()),
    ("Invoices", invoice, frozenset({"InvoiceView", "InvoiceContent", "Line", "DetailedLine", "Totals"})),
    ("Who sells and who buys", party, frozenset()),
    ("Mapping", mapped_line, frozenset({"MappedLine"})),
    ("Issues", issue, frozenset()),
)


def page() -> str:
    """The page."""
    parts = [INTRO]
    for title, module, wanted in SECTIONS:
        parts.append(f"## {title}")
        parts += [_alias(name, value) for name, value in aliases_in(module) if name in contract.__all__]
        parts += [_described(found) for found in classes_in(module) if not wanted or found.name in wanted]
    return "\n\n".join(part.strip() for part in parts)


def _alias(name: str, value: str) -> str:
    return f"### {name}\n\n`{value}`"


def _described(found: ClassSource) -> str:
    return "\n\n".join(
        part for part in (f"### {found.name}", found.doc, _fields(found), _methods(found)) if part.strip()
    )


def _fields(found: ClassSource) -> str:
    if all(not field.type for field in found.fields):
        return ", ".join(code(field.default.strip("'")) for field in found.fields if field.default is not None)
    rows = [
        (code(field.name), code(field.type), "" if field.default is None else code(field.default), cell(field.doc))
        for field in found.fields
        if not (field.name in TAGS and field.type.startswith("Literal"))
    ]
    if all(not row[-1] for row in rows):
        return table(("field", "type", "default"), [row[:-1] for row in rows])
    return table(("field", "type", "default", ""), rows)


def _methods(found: ClassSource) -> str:
    if found.name == "Provider":
        return "Every [hook](hooks.md) is a method of it, with types.\n\n" + "\n".join(_own_methods(found))
    return "\n".join(f"- `{method.signature}`: {cell(method.doc)}" for method in found.methods)


def _own_methods(found: ClassSource) -> Iterator[str]:
    for method in found.methods:
        if not method.doc.startswith("See "):
            yield f"- `{method.signature}`: {cell(method.doc)}"

"""The page of drafts: everything that an invoice can be submitted with, from the schema that it is checked by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from billhook.domain.invoice import InvoiceDraft
from generators.source import cell, clean, code, table

INTRO = """\
# Drafts

Made from the code. What `invoices.submit` and `credit_notes.submit` take: as JSON, in a file for `billhook invoices create`, or in the body of
`POST /api/billhook/v1/invoices` and `.../credit-notes`. A field without a default must be given, and a name that is not here is refused.
An amount is a decimal number in a text, `"12.34"`; a time has an offset or ends in `Z`.

[Carry an invoice that another system computed](../how-to/carry-computed-invoices.md) tells how to say what your system has.
"""

PARTS = {
    "Lines": ("LineDraft",),
    "Prices": ("FlatPrice", "UnitPrice", "TieredPrice", "Tier", "DynamicPrice", "PackagePrice"),
    "Discounts": ("PercentageDiscount", "AmountDiscount", "UsageDiscount"),
    "Taxes": ("TaxConfig", "TaxRate", "TaxAmount"),
    "Other parts": ("ExpectedTotals", "Period", "ExchangeRate", "Supplier", "Address"),
}
ELSEWHERE = {"WorkflowConfig": "[workflow](config.md#workflow)"}

Schema = Mapping[str, Any]


def page() -> str:
    """The page."""
    whole = InvoiceDraft.model_json_schema()
    known = whole["$defs"]
    parts = [INTRO, "## The draft", _described(whole, known)]
    for title, names in PARTS.items():
        parts.append(f"## {title}")
        parts += [f"### {name}\n\n{_described(known[name], known)}" for name in names]
    return "\n\n".join(part.strip() for part in parts)


def _described(schema: Schema, known: Schema) -> str:
    required = schema.get("required", ())
    rows = [
        (code(name), cell(_kind(field, known)), "" if name in required else _default(field))
        for name, field in schema["properties"].items()
    ]
    return f"{clean(schema['description'])}\n\n{table(('field', 'what', 'default'), rows)}"


def _default(field: Schema) -> str:
    if "const" in field:
        return ""
    value = field.get("default")
    return "none" if value in (None, [], {}) else code(str(value))


def _kind(field: Schema, known: Schema) -> str:
    choices = [each for each in field.get("anyOf", field.get("oneOf", ())) if each.get("type") != "null"]
    if choices:
        return " or ".join(_kind(each, known) for each in choices)
    if "$ref" in field:
        return _named(field["$ref"].rpartition("/")[2], known)
    if "const" in field:
        return code(field["const"])
    if field.get("type") == "array":
        return f"up to {field['maxItems']} of {_kind(field['items'], known)}"
    return _plain(field)


def _named(name: str, known: Schema) -> str:
    if "enum" in known[name]:
        return ", ".join(map(code, known[name]["enum"]))
    return ELSEWHERE.get(name, f"[{name}](#{name.lower()})")


def _plain(field: Schema) -> str:
    if "patternProperties" in field:
        return f"up to {field['maxProperties']} texts by name"
    if field.get("type") != "string":
        return str(field.get("type", "value"))
    if field.get("format") == "date-time":
        return "time"
    if "examples" in field:
        return "amount"
    return f"text, up to {field['maxLength']}" if "maxLength" in field else "text"

"""Drafts from files: JSON objects, or CSV rows grouped into documents. Every problem is told with its place."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from billhook.cli.inputs import parse_json, read_text
from billhook.errors import InvalidInput, Problem

REQUIRED_COLUMNS = ("key", "customer_key", "currency", "line_name", "item_code", "quantity", "unit_price")
OPTIONAL_COLUMNS = ("type", "number", "credited_invoice_id", "external_id")
DOCUMENT_COLUMNS = ("customer_key", "currency", *OPTIONAL_COLUMNS)


@dataclass(slots=True)
class RawDraft:
    """One document as the file holds it. ``line_numbers`` are those of the file, one for each line of the document."""

    name: str
    draft: Any
    line_numbers: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def placed(self, path: str) -> str:
        """Where a problem with that JSON pointer stands in the file."""
        parts = path.split("/")
        if self.line_numbers and parts[1:2] == ["lines"] and len(parts) > 2 and parts[2].isdigit():
            return f"line {self.line_numbers[int(parts[2])]}"
        if self.line_numbers:
            return f"line {self.line_numbers[0]}"
        return f"{self.name}{path}"


def read_drafts(file: Path) -> list[RawDraft]:
    """The documents of a file in their order. What begins like JSON is read as JSON, everything else as CSV.

    Raises InvalidInput for a file that is neither.
    """
    text = read_text(file)
    if text.lstrip()[:1] in {"{", "["}:
        return _from_json(parse_json(text, str(file)))
    return _from_csv(text)


def _from_json(document: Any) -> list[RawDraft]:
    drafts = document if isinstance(document, list) else [document]
    return [RawDraft(_name(draft, place), draft) for place, draft in enumerate(drafts)]


def _name(draft: Any, place: int) -> str:
    key = draft.get("key") if isinstance(draft, Mapping) else None
    return key if isinstance(key, str) and key else f"number {place + 1}"


def _from_csv(text: str) -> list[RawDraft]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = _checked_columns(next(reader, []))
        documents: dict[str, RawDraft] = {}
        for row in reader:
            if row:
                _add_row(documents, columns, row, reader.line_num)
    except csv.Error as error:
        raise InvalidInput("not_csv", f"Line {reader.line_num} is no CSV: {error}. Correct it.") from None
    return list(documents.values())


def _checked_columns(header: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in header]
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    unknown = [name for name in columns if name not in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)]
    if missing or unknown or len(set(columns)) != len(columns):
        wrong = [
            f"{label} {', '.join(names)}" for label, names in (("missing:", missing), ("unknown:", unknown)) if names
        ]
        raise InvalidInput(
            "csv_columns",
            f"The first line does not name the columns ({'; '.join(wrong) or 'one occurs twice'}). "
            f"It has to name {', '.join(REQUIRED_COLUMNS)}, and may name {', '.join(OPTIONAL_COLUMNS)}, with commas between them. "
            "A file of JSON says the rest: taxes, discounts, what the lines are expected to come to.",
        )
    return columns


def _add_row(documents: dict[str, RawDraft], columns: Sequence[str], row: Sequence[str], line_number: int) -> None:
    values = dict(zip(columns, (value.strip() for value in row), strict=False))
    key = values.get("key", "")
    document = documents.get(key)
    if document is None:
        document = documents[key] = RawDraft(key or f"line {line_number}", _head(key, values))
    place = f"line {line_number}"
    if len(row) != len(columns):
        document.problems.append(Problem("csv_fields", f"It has {len(row)} fields instead of {len(columns)}.", place))
        return
    document.problems.extend(_row_problems(document.draft, values, place))
    document.draft["lines"].append(_line(values))
    document.line_numbers.append(line_number)


def _head(key: str, values: Mapping[str, str]) -> dict[str, Any]:
    head = {name: values.get(name) for name in DOCUMENT_COLUMNS}
    return {"key": key, **{name: value for name, value in head.items() if value}, "lines": []}


def _line(values: Mapping[str, str]) -> dict[str, Any]:
    price = {"type": "unit", "amount": values["unit_price"]}
    line = {"name": values["line_name"], "quantity": values["quantity"], "price": price}
    return {**line, "item_code": values["item_code"]} if values["item_code"] else line


def _row_problems(draft: Mapping[str, Any], values: Mapping[str, str], place: str) -> Iterator[Problem]:
    if not values["key"]:
        yield Problem("key_missing", "A row needs the key of its document.", place)
    for name in DOCUMENT_COLUMNS:
        if values.get(name, "") != draft.get(name, ""):
            yield Problem("csv_disagrees", f"{name} differs from the document's first row.", place)

"""Reading the source: classes with their fields and docstrings, as they stand there."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core/src/billhook"
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Field:
    """A field, or the member of an enumeration. ``type`` is "" for a member; ``default`` is None where one must be given."""

    name: str
    type: str
    default: str | None
    doc: str


@dataclass(frozen=True)
class Method:
    """A public method or property."""

    signature: str
    doc: str


@dataclass(frozen=True)
class ClassSource:
    """A class as its source shows it."""

    name: str
    bases: tuple[str, ...]
    doc: str
    fields: tuple[Field, ...]
    methods: tuple[Method, ...]


@cache
def tree_of(module: ModuleType) -> ast.Module:
    """The module's source, parsed once."""
    return ast.parse(inspect.getsource(module))


def classes_in(module: ModuleType) -> Iterator[ClassSource]:
    """The module's public classes, in the order of the source."""
    for node in tree_of(module).body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield read_class(node)


def class_in(module: ModuleType, name: str) -> ClassSource:
    """One class of the module."""
    return next(found for found in classes_in(module) if found.name == name)


def aliases_in(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Type aliases: name and what it stands for."""
    for node in tree_of(module).body:
        if isinstance(node, ast.AnnAssign) and node.value and "TypeAlias" in ast.unparse(node.annotation):
            yield ast.unparse(node.target), ast.unparse(node.value)


def read_class(node: ast.ClassDef) -> ClassSource:
    """The class of that node."""
    return ClassSource(
        name=node.name,
        bases=tuple(ast.unparse(base) for base in node.bases),
        doc=clean(ast.get_docstring(node)),
        fields=tuple(_fields(node.body)),
        methods=tuple(_methods(node.body)),
    )


def clean(doc: str | None) -> str:
    """A docstring as Markdown: one paragraph a line, double backticks made single."""
    paragraphs = inspect.cleandoc(doc or "").split("\n\n")
    joined = [part if part.startswith("    ") else " ".join(part.split()) for part in paragraphs]
    return "\n\n".join(joined).replace("``", "`")


def cell(text: str) -> str:
    """A text for a cell of a table."""
    return text.replace("\n\n", "<br>").replace("\n", " ").replace("|", "\\|")


def code(text: str) -> str:
    """The text as code in a cell, "" for nothing."""
    return f"`{cell(text)}`" if text else ""


def table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table, "" when there are no rows."""
    lines = [f"| {' | '.join(row)} |" for row in rows]
    head = [f"| {' | '.join(columns)} |", f"| {' | '.join('---' for _ in columns)} |"]
    return "\n".join([*head, *lines]) + "\n" if lines else ""


def _fields(body: list[ast.stmt]) -> Iterator[Field]:
    for place, node in enumerate(body):
        following = body[place + 1] if place + 1 < len(body) else None
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name, type_ = node.target.id, ast.unparse(node.annotation)
            if not name.startswith("_") and "ClassVar" not in type_:
                yield Field(name, _plain_type(type_), _default(node.value), _doc_below(following))
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is not None:
            name = ast.unparse(node.targets[0])
            if name.isupper():
                yield Field(name, "", ast.unparse(node.value), _doc_below(following))


def _plain_type(type_: str) -> str:
    return re.sub(r"Annotated\[(\w+), .*\]$", r"\1", type_)


def _default(node: ast.expr | None) -> str | None:
    if node is None:
        return None
    text = ast.unparse(node)
    if not text.startswith("Field(") and not text.startswith("field("):
        return text
    factory = re.search(r"default_factory=(\w+)", text)
    default = re.search(r"default=([^,)]+\)?)", text)
    if factory:
        return {"dict": "{}", "list": "[]"}.get(factory[1], f"{factory[1]}()")
    return default[1] if default else None


def _doc_below(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return clean(node.value.value)
    return ""


def _methods(body: list[ast.stmt]) -> Iterator[Method]:
    for node in body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_") or ast.get_docstring(node) is None:
            continue
        marks = {ast.unparse(mark) for mark in node.decorator_list}
        if any(mark.startswith(("model_validator", "field_validator")) for mark in marks):
            continue
        yield Method(node.name if "property" in marks else _signature(node), clean(ast.get_docstring(node)))


def _signature(node: ast.FunctionDef) -> str:
    arguments = re.sub(r"^(self|cls)(, )?", "", ast.unparse(node.args))
    return f"{node.name}({arguments}) -> {ast.unparse(node.returns) if node.returns else 'None'}"

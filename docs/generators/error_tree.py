"""The page of errors: the tree, and every stable code that the source raises."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module

from billhook import errors
from generators.source import CORE, cell, classes_in, code, table

INTRO = """\
# Errors

Made from the code. Every message says what happened, to which thing, and what to do next. Go by the class or by `code`, never by the message. All
of them are in `billhook.errors`; `BillhookError` is also in `billhook`.
"""

CODES = """\
## Codes

What `code` can be for each class, and a message it comes with. `InvalidInput` also has `path`, a JSON pointer to the place, and `problems`, which
lists everything that is wrong. Values that do not fit their type have pydantic's own codes, such as `missing` or `extra_forbidden`.
"""

ISSUES = """\
## Issues of an invoice

What stands in the way of an invoice is no exception but an issue on it: severity, code, message, component and path. Providers add codes of
their own.
"""

# Where the code stands among the arguments of a call, by what is called; the class that the caller gets.
_PLACES: dict[str, tuple[int, int, str]] = {
    "InvalidInput": (0, 1, "InvalidInput"),
    "PydanticCustomError": (0, 1, "InvalidInput"),
    "Conflict": (1, 0, "Conflict"),
    "NotAllowed": (1, 0, "NotAllowed"),
    "StoreError": (1, 0, "StoreError"),
    "__init__": (0, 1, "InvalidInput"),  # of a class of its own below InvalidInput
}
_ISSUES = {"_critical": (0, 1), "because": (0, 1)}
# What providers in core say is theirs; the sandbox is no part of the engine.
_SKIPPED = ("testing", "demo", "cli")

Found = tuple[str, str, str]


def page() -> str:
    """The page."""
    tree = "\n".join(line for line in (errors.__doc__ or "").splitlines()[2:])
    parts = [INTRO, f"```text\n{tree.strip()}\n```", _classes(), CODES, _rows(_raised()), ISSUES, _issue_rows()]
    return "\n\n".join(part.strip() for part in parts)


def _classes() -> str:
    rows = []
    for found in classes_in(errors):
        error = getattr(errors, found.name)
        if issubclass(error, Exception):
            rows.append((code(found.name), code(_own_code(error)), cell(found.doc)))
    return table(("class", "code unless stated", ""), rows)


def _own_code(error: type[Exception]) -> str:
    """What `code` is when whoever raises it says nothing; "" where one has to be said."""
    if "__init__" not in vars(error):
        return str(getattr(error, "code", ""))
    stated = inspect.signature(error).parameters.get("code")
    if stated is not None:
        return "" if stated.default is stated.empty else str(stated.default)
    found = re.search(r'"([a-z_]+)",?\s*\)', inspect.getsource(error))
    return found[1] if found else str(getattr(error, "code", ""))


def _rows(found: set[Found]) -> str:
    rows = [(code(name), kind, cell(message)) for name, kind, message in sorted(found)]
    return table(("code", "class", "message"), rows)


def _issue_rows() -> str:
    return table(("code", "message"), [(code(name), cell(message)) for name, _, message in sorted(_issues())])


def _calls() -> Iterator[tuple[str, ast.Call, str]]:
    """What is called, the call, and the module that it is in."""
    for path in sorted(CORE.rglob("*.py")):
        place = path.relative_to(CORE)
        if place.parts[0] in _SKIPPED:
            continue
        module = ".".join(("billhook", *place.with_suffix("").parts)).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for scope in ast.walk(tree):
            if isinstance(scope, ast.FunctionDef):
                _put_texts_in_place(scope)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield ast.unparse(node.func).rpartition(".")[2], node, module


def _put_texts_in_place(scope: ast.FunctionDef) -> None:
    """A call that is given a text by the name of a variable of its function is given the text itself."""
    calls = sorted((node for node in ast.walk(scope) if isinstance(node, ast.Call)), key=lambda call: call.lineno)
    for call in calls:
        for keyword in call.keywords:
            keyword.value = _text_of(keyword.value, scope, call.lineno)
        call.args = [_text_of(each, scope, call.lineno) for each in call.args]


def _text_of(node: ast.expr, scope: ast.FunctionDef, before: int) -> ast.expr:
    """The text that the variable was last given before that line; what is no such variable as it is."""
    if not isinstance(node, ast.Name):
        return node
    given = [
        each
        for each in ast.walk(scope)
        if isinstance(each, ast.Assign) and each.lineno <= before and ast.unparse(each.targets[0]) == node.id
    ]
    last = max(given, key=lambda each: each.lineno, default=None)
    is_text = last is not None and isinstance(last.value, ast.Constant | ast.JoinedStr)
    return last.value if last is not None and is_text else node


def _raised() -> set[Found]:
    return set(_first_of_each(_all_raised()))


def _all_raised() -> Iterator[Found]:
    for name, call, module in _calls():
        if name in _PLACES:
            code_place, message_place, kind = _PLACES[name]
            yield from _read(call, module, code_place, message_place, kind)


def _issues() -> set[Found]:
    return set(_first_of_each(_all_issues()))


def _all_issues() -> Iterator[Found]:
    for name, call, module in _calls():
        if name in _ISSUES:
            yield from _read(call, module, *_ISSUES[name], "issue")
        if name == "ValidationIssue":
            named = {keyword.arg: keyword.value for keyword in call.keywords}
            if "code" in named and "message" in named:
                for stated in _stated(named["code"], module):
                    yield stated, "issue", _message(named["message"])


def _first_of_each(found: Iterator[Found]) -> Iterator[Found]:
    seen: set[tuple[str, str]] = set()
    for one in sorted(found):
        if one[:2] not in seen:
            seen.add(one[:2])
            yield one


def _read(call: ast.Call, module: str, code_place: int, message_place: int, kind: str) -> Iterator[Found]:
    if len(call.args) <= max(code_place, message_place):
        return
    for stated in _stated(call.args[code_place], module):
        yield stated, kind, _message(call.args[message_place])


def _stated(node: ast.expr, module: str) -> Iterator[str]:
    """The code that stands there, or that a constant of the module there holds; none for what only a run can tell."""
    value: object = None
    if isinstance(node, ast.Constant):
        value = node.value
    elif isinstance(node, ast.Name) and node.id.isupper():
        value = getattr(import_module(module), node.id, None)
    if isinstance(value, str) and re.fullmatch(r"[a-z_]+", value):
        yield value


def _message(node: ast.expr) -> str:
    """The text with `...` where values go."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_message(part) if isinstance(part, ast.Constant) else "..." for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _message(left) + _message(right)
    return "..."

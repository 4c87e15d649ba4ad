"""The page of logs, metrics and traces: what the engine tells those who watch it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from billhook.engine import telemetry
from generators.source import CORE, code, table, tree_of

INTRO = """\
# Logs, metrics and traces

Made from the code. [Operate](../how-to/operate.md#logs-metrics-and-traces) says how to collect them.
"""

LOGS = """\
## Logs

Records of the logger `billhook`. Fields are attributes of the record.
"""

METRICS = """\
## Metrics

Instruments of OpenTelemetry's meter `billhook`.
"""

TRACES = """\
## Traces

Each request to a provider is a client span of the tracer `billhook`, named `PROVIDER OPERATION`. Its status is an error where no answer
arrived (the verdict says how far it came), or one whose status is 400 or more.
"""


def page() -> str:
    """The page."""
    logs = table(("level", "message", "fields"), sorted(set(_logs())))
    metrics = table(("instrument", "unit", "", "attributes"), list(_instruments()))
    attributes = "\n".join(f"- {code(name)}" for name in (*_attributes_of("sending"), *_attributes_of("ended")))
    return "\n\n".join(part.strip() for part in (INTRO, LOGS, logs, METRICS, metrics, TRACES, attributes))


def _logs() -> Iterator[tuple[str, str, str]]:
    for path in sorted((CORE / "engine").glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(function, ast.FunctionDef):
                yield from _logs_of(function)


def _logs_of(function: ast.FunctionDef) -> Iterator[tuple[str, str, str]]:
    for call in ast.walk(function):
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("telemetry.log"):
            level, message, fields = call.args
            names = ", ".join(code(f"billhook_{name}") for name in _keys(fields, function))
            yield ast.unparse(level).removeprefix("logging."), str(ast.literal_eval(message)), names


def _keys(fields: ast.expr, function: ast.FunctionDef) -> list[str]:
    """The keys of the fields, which are written out in the call or just above it."""
    if isinstance(fields, ast.Dict):
        return [str(ast.literal_eval(key)) for key in fields.keys if key is not None]
    name = ast.unparse(fields)
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return _keys(node.value, function)
    raise LookupError(f"{function.name} logs fields that are not written out: {name}")


def _instruments() -> Iterator[tuple[str, str, str, str]]:
    for node in ast.walk(tree_of(telemetry)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and "meter.create_" in ast.unparse(node):
            words = [keyword for keyword in node.value.keywords if keyword.arg in ("unit", "description")]
            given = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in words}
            name = ast.literal_eval(node.value.args[0])
            attribute = ast.unparse(node.targets[0])
            yield code(name), str(given["unit"]).strip("{}"), str(given["description"]), _attributes(attribute)


def _attributes(instrument: str) -> str:
    for function in _methods():
        used = f"{instrument}.add(" in ast.unparse(function) or f"{instrument}.record(" in ast.unparse(function)
        if used and function.name != "__init__":
            return ", ".join(map(code, _attributes_of(function.name)))
    raise LookupError(instrument)


def _attributes_of(name: str) -> list[str]:
    method = next(function for function in _methods() if function.name == name)
    dicts = [node for node in ast.walk(method) if isinstance(node, ast.Dict)]
    return [str(ast.literal_eval(key)) for found in dicts for key in found.keys if key is not None]


def _methods() -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree_of(telemetry)) if isinstance(node, ast.FunctionDef))

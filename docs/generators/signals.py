"""The page of logs, metrics and traces: what the engine tells those who watch it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from billhook.engine import telemetry
from generators.log_calls import logged_in
from generators.source import ROOT, cell, code, table, tree_of

INTRO = """\
# Logs, metrics and traces

Made from the code. [Operate](../how-to/operate.md#logs-metrics-and-traces) says how to collect them.
"""

LOGS = """\
## Logs

Records of the logger `billhook` and of those below it, so a handler of `billhook` gets them all. Fields are attributes of the record; `exc_info`
is what was raised. What a message has `%s` for stands in the record's `args`.
"""

PLUGIN_LOGS = """\
The other distributions log under their own names:
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
    columns = ("logger", "level", "message", "fields")
    logs, plugin_logs = table(columns, _logs(["core"])), table(columns, _logs(["plugins", "contrib"]))
    metrics = table(("instrument", "unit", "", "attributes"), list(_instruments()))
    attributes = "\n".join(f"- {code(name)}" for name in (*_attributes_of("sending"), *_attributes_of("ended")))
    return "\n\n".join(
        part.strip() for part in (INTRO, LOGS, logs, PLUGIN_LOGS, plugin_logs, METRICS, metrics, TRACES, attributes)
    )


def _logs(folders: Iterable[str]) -> list[tuple[str, str, str, str]]:
    logged = {each for folder in folders for each in logged_in(ROOT / folder)}
    return [
        (code(each.logger), each.level, cell(each.message), ", ".join(map(code, each.fields)))
        for each in sorted(logged)
    ]


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

"""Every call of a logger in the source of this project: what is logged, by whom, with which fields.

Calls are found in all modules, and what can't be read is refused, so that nothing is logged that the page doesn't list.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

LEVELS = {
    "debug": "DEBUG",
    "info": "INFO",
    "warning": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
    "critical": "CRITICAL",
}
USUAL_NAMES = ("log", "logger", "telemetry")
FIELDS_OF_THE_ENGINE = "billhook_"
PASSES_ON = "billhook.engine.telemetry"  # takes what it logs from all of the engine
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, order=True)
class Logged:
    """A message as it is written down, what it is logged by and with."""

    logger: str
    level: str
    message: str
    fields: tuple[str, ...]


def logged_in(folder: Path) -> Iterator[Logged]:
    """What the distributions in that folder of the project log, all of them or one."""
    for source in sorted([*folder.glob("src"), *folder.glob("*/src")]):
        for path in sorted(source.rglob("*.py")):
            dotted = ".".join(path.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            yield from SourceFile(path, dotted, ast.parse(path.read_text(encoding="utf-8"))).logged()


@dataclass(frozen=True)
class SourceFile:
    """One module."""

    path: Path
    dotted: str
    tree: ast.Module

    def logged(self) -> Iterator[Logged]:
        """What it logs."""
        if self.dotted == PASSES_ON:
            return
        for node, function in self._nodes:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                yield from self._logged_by(node, node.func, function)

    @cached_property
    def _nodes(self) -> list[tuple[ast.AST, Function | None]]:
        return list(_nodes_in(self.tree, None))

    @cached_property
    def _loggers(self) -> dict[str, str]:
        """Names of the module, and the loggers that they stand for."""
        made = [node for node, _ in self._nodes if _makes_logger(node)]
        assigned = [node for node, _ in self._nodes if isinstance(node, ast.Assign) and node.value in made]
        for nameless in set(made) - {node.value for node in assigned}:
            raise self._unreadable(nameless, "makes a logger and gives it no name")
        return {"logging": "root", **{ast.unparse(node.targets[0]): self._name_of(node.value) for node in assigned}}

    def _name_of(self, made: ast.expr) -> str:
        assert isinstance(made, ast.Call)
        (name,) = made.args
        return self.dotted if ast.unparse(name) == "__name__" else self._text(name)

    def _logged_by(self, call: ast.Call, method: ast.Attribute, function: Function | None) -> Iterator[Logged]:
        if method.attr not in {*LEVELS, "log"}:
            return
        receiver = ast.unparse(method.value)
        if receiver.rpartition(".")[2] == "telemetry":
            level, message, fields = call.args
            names = tuple(FIELDS_OF_THE_ENGINE + name for name in self._keys(fields, function))
            yield from self._each("billhook", self._level(level), message, names, function)
        elif receiver in self._loggers:
            level_name, message = self._level_and_message(call, method)
            yield from self._each(self._loggers[receiver], level_name, message, self._extra(call, function), function)
        elif receiver.rpartition(".")[2].strip("_").lower() in USUAL_NAMES:
            raise self._unreadable(call, "logs by a logger that the module does not make")

    def _level_and_message(self, call: ast.Call, method: ast.Attribute) -> tuple[str, ast.expr]:
        if method.attr != "log":
            return LEVELS[method.attr], call.args[0]
        level, message, *_ = call.args
        return self._level(level), message

    def _level(self, level: ast.expr) -> str:
        return ast.unparse(level).removeprefix("logging.")

    def _extra(self, call: ast.Call, function: Function | None) -> tuple[str, ...]:
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        names = self._keys(given["extra"], function) if "extra" in given else []
        raised = "exc_info" in given or ast.unparse(call.func).endswith(".exception")
        return (*names, "exc_info") if raised else tuple(names)

    def _each(
        self, logger: str, level: str, message: ast.expr, fields: tuple[str, ...], function: Function | None
    ) -> Iterator[Logged]:
        """One for each text that the message can be: written out, or what callers give a helper of the module."""
        if not isinstance(message, ast.Name) or function is None:
            yield Logged(logger, level, self._text(message), fields)
            return
        given = self._given(function, message.id)
        if not given:
            raise self._unreadable(message, "logs a message that is not written out")
        for text in given:
            yield Logged(logger, level, self._text(text), fields)

    def _given(self, function: Function, parameter: str) -> list[ast.expr]:
        names = [each.arg for each in function.args.args if each.arg not in {"self", "cls"}]
        if parameter not in names:
            return []
        place = names.index(parameter)
        calls = [node for node, _ in self._nodes if isinstance(node, ast.Call)]
        ours = [call for call in calls if ast.unparse(call.func).rpartition(".")[2] == function.name]
        return [call.args[place] for call in ours]

    def _keys(self, fields: ast.expr, function: Function | None) -> list[str]:
        """The keys of the fields, which are written out in the call, just above it, or in a function of the module."""
        if isinstance(fields, ast.Dict):
            return [self._text(key) for key in fields.keys if key is not None]
        for maker in self._functions_called(fields):
            returned = [node.value for node in ast.walk(maker) if isinstance(node, ast.Return) and node.value]
            return self._keys(returned[-1], maker)
        for node in ast.walk(function) if function else ():
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == ast.unparse(fields):
                return self._keys(node.value, function)
        raise self._unreadable(fields, "logs fields that are not written out")

    def _functions_called(self, call: ast.expr) -> Iterator[Function]:
        for node, _ in self._nodes:
            if isinstance(node, Function) and isinstance(call, ast.Call) and ast.unparse(call.func) == node.name:
                yield node

    def _text(self, node: ast.expr) -> str:
        try:
            return str(ast.literal_eval(node))
        except ValueError:
            raise self._unreadable(node, "logs a message that is not written out") from None

    def _unreadable(self, node: ast.AST, what: str) -> LookupError:
        where = f"{self.path}:{getattr(node, 'lineno', 1)}"
        return LookupError(
            f"{where} {what}: {ast.unparse(node)}. Write it so that docs/generators/log_calls.py reads it."
        )


def _nodes_in(node: ast.AST, function: Function | None) -> Iterator[tuple[ast.AST, Function | None]]:
    """Every node below, with the function that it stands in."""
    for child in ast.iter_child_nodes(node):
        yield child, function
        yield from _nodes_in(child, child if isinstance(child, Function) else function)


def _makes_logger(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "getLogger"

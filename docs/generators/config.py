"""The page of configuration: the engine's policy, workflows, and what the providers of this project take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import BaseModel

from billhook.contract import Declaration
from billhook.contract.declaration import Support
from billhook.domain import workflow
from billhook.domain.period import format_duration
from billhook.engine import context
from generators.members import providers
from generators.source import cell, class_in, clean, code, table

INTRO = """\
# Configuration

Made from the code.
"""

POLICY = """\
## Policy

`Engine.open(..., policy=Policy(...))`, from `billhook`. How the engine behaves where nobody else says.
"""

WORKFLOW = """\
## Workflow

Of a billing profile, a customer override, or an invoice's draft; what is stated nearer to the invoice wins. Durations are ISO 8601 texts such as
`P14D`.
"""

ENVIRONMENT = """\
## Environment

Read by the command line alone; the library reads no environment.

| variable | meaning |
| --- | --- |
| `BILLHOOK_DB` | the database, as `--db` |
| `BILLHOOK_PROVIDERS` | names with commas between: no other provider is listed or imported |
"""


def page() -> str:
    """The page."""
    parts = [INTRO, POLICY, _policy(), WORKFLOW, _workflow(), ENVIRONMENT, "## Providers"]
    parts += [_provider(provider.declaration) for provider in providers()]
    return "\n\n".join(part.strip() for part in parts)


def _policy() -> str:
    policy = context.Policy()
    rows = [
        (code(field.name), code(_shown(getattr(policy, field.name))), cell(field.doc))
        for field in class_in(context, "Policy").fields
    ]
    return table(("field", "default", ""), rows)


def _workflow() -> str:
    config = workflow.WorkflowConfig()
    rows = []
    for field in class_in(workflow, "WorkflowConfig").fields:
        values = getattr(getattr(workflow, field.type.removesuffix(" | None"), None), "__members__", {})
        kind = ", ".join(member.value for member in values.values()) or field.type
        rows.append((code(field.name), code(kind), code(_shown(getattr(config, field.name))), cell(field.doc)))
    return table(("field", "values", "default", ""), rows)


def _shown(value: Any) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    return str(value.value if hasattr(value, "value") else value)


def _provider(declaration: Declaration) -> str:
    parts = [
        f"### {declaration.type}",
        f"{declaration.name}. {declaration.description}",
        "Settings: " + clean(declaration.settings.__doc__),
        _model(declaration.settings),
    ]
    if declaration.credentials is not None:
        parts += ["Credentials: " + clean(declaration.credentials.__doc__), _model(declaration.credentials)]
    rows = [(code(name.value), _level(support)) for name, support in sorted(declaration.capabilities.items())]
    return "\n\n".join(part.strip() for part in [*parts, table(("capability", "level"), rows)] if part.strip())


def _level(support: Support) -> str:
    reason = getattr(support, "reason", "")
    level = support.level.replace("_", " ")
    return f"{level}: {cell(reason)}" if reason else level


def _model(model: type[BaseModel]) -> str:
    schema = model.model_json_schema()
    rows = []
    for name, described in schema.get("properties", {}).items():
        needed = "required" if name in schema.get("required", ()) else _default(described.get("default"))
        rows.append((code(name), code(_kind(described)), needed))
    return table(("name", "type", "default"), rows)


def _default(value: Any) -> str:
    return "none" if value is None else code(str(value))


def _kind(described: dict[str, Any]) -> str:
    if "anyOf" in described:
        return " or ".join(_kind(one) for one in described["anyOf"] if one.get("type") != "null")
    kind = str(described.get("type", described.get("$ref", "value").rpartition("/")[2]))
    if kind == "array":
        return f"list of {_kind(described['items'])}"
    return "secret" if described.get("format") == "password" else kind

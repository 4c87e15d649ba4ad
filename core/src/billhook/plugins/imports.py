"""Whether loading a provider imports more than it should: a vendor's SDK costs hundreds of milliseconds, and may be absent."""

from __future__ import annotations

import json
import subprocess
import sys

from billhook.errors import ContractViolation, ProviderLoadError

_LONGEST_SECONDS = 60

_SCRIPT = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
import billhook.contract
from importlib.metadata import EntryPoint
before = set(sys.modules)
EntryPoint("checked", sys.argv[1], "billhook.providers").load()
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def imports_on_load(target: str) -> frozenset[str]:
    """The top-level packages that loading ``module:attribute`` imports, without its own, the standard library and the contract's.

    Runs a fresh interpreter, because this one has imported who knows what. Raises ProviderLoadError when the load fails.
    """
    command = [sys.executable, "-c", _SCRIPT, target, json.dumps(sys.path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST_SECONDS, check=False)  # noqa: S603
    if run.returncode != 0:
        reason = (run.stderr.strip() or "it gave no reason").splitlines()[-1]
        raise ProviderLoadError(f"{target} could not be imported in a fresh interpreter: {reason}")
    loaded = {module.partition(".")[0] for module in json.loads(run.stdout.splitlines()[-1])}
    own = target.partition(":")[0].partition(".")[0]
    return frozenset(name for name in loaded - {own, "billhook"} if not _is_standard(name))


def check_imports(target: str) -> None:
    """Raise ContractViolation when loading ``module:attribute`` imports somebody else's package."""
    strangers = imports_on_load(target)
    if strangers:
        raise ContractViolation(
            f"Loading {target} imports {', '.join(sorted(strangers))}. A provider must be described without its SDK: "
            "import it inside the functions that use it."
        )


def _is_standard(name: str) -> bool:
    return name in sys.stdlib_module_names or name.startswith("_sysconfigdata")

"""The rules of the house that Python source must keep. A failure says what was found, where, and why the rule is there."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Who may import whom inside billhook; the first column imports from the second. Every name may import billhook.errors.
TIME_AND_FAULTS = {"clock", "faults"}
INNER = {"domain", "contract"}
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "clock": set(),
    "faults": set(),
    "domain": set(),
    "contract": {"domain"},
    "providers": {"contract"},
    "plugins": INNER,
    "store": INNER | TIME_AND_FAULTS,
    "engine": INNER | TIME_AND_FAULTS | {"plugins", "store"},
    "runners": INNER | TIME_AND_FAULTS | {"plugins", "store", "engine"},
    "server": INNER | TIME_AND_FAULTS | {"plugins", "store", "engine", "runners"},
    "testing": INNER | TIME_AND_FAULTS | {"plugins", "store", "engine", "runners", "server", "providers"},
    "demo": INNER | TIME_AND_FAULTS | {"plugins", "store", "engine", "runners", "testing"},
    "cli": INNER | TIME_AND_FAULTS | {"plugins", "store", "engine", "runners", "server", "testing", "demo"},
    "__main__": {"cli"},
}
DOOR = INNER | TIME_AND_FAULTS | {"plugins", "store", "engine"}
DOMAIN_LIBRARIES = {"pydantic", "pydantic_core", "iso4217", "ulid"}
HOST_SIDE = frozenset({"plugins/openmeter"})  # members that embed the engine instead of providing for it
MONEY_LAYERS = {"domain", "contract", "store", "engine", "providers"}
SDKS = {"stripe", "xero_python", "intuitlib", "quickbooks", "gocardless_pro"}
CLOCKS_AND_DICE = {
    *("datetime.now", "date.today", "datetime.today", "time.time", "time.monotonic", "time.sleep"),
    *("uuid.uuid4", "uuid4", "os.urandom", "secrets.token_bytes", "random.random", "random.randrange"),
}
COMES_WITH = {"pydantic_core": "pydantic"}  # one library in two distributions, pinned to each other
LONGEST_MODULE = 700


@dataclass(frozen=True)
class Module:
    """One source file: where it stands and what it says."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def dotted(self) -> list[str]:
        parts = list(self.path.with_suffix("").parts)
        inside = parts[parts.index("src") + 1 :]
        return inside[:-1] if inside[-1] == "__init__" else inside

    @property
    def member(self) -> str:
        return "/".join(self.path.parts[: self.path.parts.index("src")])

    @property
    def layer(self) -> str:
        """The part of core it belongs to; "" for the door itself and for other distributions."""
        return self.dotted[1] if self.dotted[0] == "billhook" and len(self.dotted) > 1 else ""

    def at(self, node: ast.AST, complaint: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {complaint}"


@cache
def modules() -> tuple[Module, ...]:
    paths = [path for folder in ("core", "plugins/*", "contrib/*") for path in ROOT.glob(f"{folder}/src/**/*.py")]
    return tuple(Module(path.relative_to(ROOT), path.read_text(encoding="utf-8")) for path in sorted(paths))


def imports(module: Module, nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.AST, list[str]]]:
    """Each imported name as its dotted parts, relative ones resolved."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.dotted if module.path.name == "__init__.py" else module.dotted[:-1]
            base = package[: len(package) - node.level + 1] if node.level else []
            base = base + (node.module.split(".") if node.module else [])
            yield from ((node, [*base, alias.name]) for alias in node.names)


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that importing the module runs: not those in functions or under TYPE_CHECKING."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from run_at_import(child)


def core_imports_inwards(module: Module) -> Iterator[str]:
    if module.dotted[0] != "billhook":
        return
    if module.layer and module.layer not in LAYERS:
        yield module.at(
            module.tree, f"billhook.{module.layer} has no place in LAYERS of tests/test_tidy.py: say what it may import"
        )
        return
    allowed = {module.layer, "errors"} | (LAYERS[module.layer] if module.layer else DOOR)
    for node, name in imports(module, ast.walk(module.tree)):
        if name[0] == "billhook" and len(name) > 1 and name[1] in LAYERS and name[1] not in allowed:
            yield module.at(
                node,
                f"{'.'.join(module.dotted)} imports billhook.{name[1]}. Imports point inwards, domain <- contract <- plugins, store "
                "<- engine <- runners, server, cli, so that the inner parts can be read and tested alone. Hand the thing in as "
                "an argument, or move what both need inwards.",
            )


def the_domain_is_pure(module: Module) -> Iterator[str]:
    if module.layer != "domain":
        return
    for node, name in imports(module, ast.walk(module.tree)):
        if name[0] not in sys.stdlib_module_names | DOMAIN_LIBRARIES | {"billhook"}:
            yield module.at(
                node,
                f"the domain imports {name[0]}. It holds values and decisions and knows no framework: only "
                f"{', '.join(sorted(DOMAIN_LIBRARIES))} and the standard library.",
            )


def providers_use_public_names(module: Module) -> Iterator[str]:
    if module.dotted[0] == "billhook" and module.layer != "providers":
        return
    if module.member in HOST_SIDE:
        return
    simulator = any(part.startswith("simulator") for part in module.dotted)
    allowed = (
        {"contract", "errors"}
        | ({"testing", "clock"} if simulator else set())
        | ({"providers"} if module.layer else set())
    )
    for node, name in imports(module, ast.walk(module.tree)):
        if name[0] == "billhook" and len(name) > 1 and name[1] in LAYERS and name[1] not in allowed:
            yield module.at(
                node,
                f"a provider imports billhook.{name[1]}. Ours travel the road of a third party: `billhook`, `billhook.contract` and "
                "`billhook.errors`, their simulators also `billhook.testing` and `billhook.clock`. If a provider needs more, the contract lacks it.",
            )


def contrib_imports_no_plugin(module: Module) -> Iterator[str]:
    plugins = {path.name for path in ROOT.glob("plugins/*/src/*")} | {
        "billhook_xero",
        "billhook_stripe",
        "billhook_quickbooks",
    }
    if module.path.parts[0] != "contrib":
        return
    for node, name in imports(module, ast.walk(module.tree)):
        if name[0] in plugins:
            yield module.at(
                node,
                f"contrib imports {name[0]}. Providers are found by name; a host picks its own without installing others.",
            )


@cache
def distributions_by_import() -> Mapping[str, list[str]]:
    # Reads the metadata of everything that is installed.
    return packages_distributions()


def spelled_alike(text: str) -> str:
    """Distributions go by names in which case, and - or _, make no difference."""
    return text.lower().replace("_", "-")


def imports_are_declared(module: Module) -> Iterator[str]:
    own = {path.name for path in ROOT.glob(f"{module.member}/src/*")}
    project = spelled_alike((ROOT / module.member / "pyproject.toml").read_text(encoding="utf-8"))
    for node, name in imports(module, ast.walk(module.tree)):
        if name[0] in sys.stdlib_module_names | own:
            continue
        distributions = [COMES_WITH.get(name[0], ""), *distributions_by_import().get(name[0], [name[0]])]
        if not any(f'"{spelled_alike(distribution)}' in project for distribution in distributions if distribution):
            yield module.at(
                node,
                f"imports {name[0]}, which {module.member}/pyproject.toml does not name. It works here only because something else "
                "installs it. Declare it with its reason, or do without.",
            )


def sdks_are_imported_late(module: Module) -> Iterator[str]:
    for node, name in imports(module, run_at_import(module.tree)):
        if name[0] in SDKS:
            yield module.at(
                node,
                f"imports {name[0]} at top level. Describing a provider must not load its SDK (hundreds of milliseconds, and it may "
                "be absent): import it inside the function that uses it.",
            )


def is_seconds(name: str) -> bool:
    return name.lower().endswith("seconds")


def names_seconds(node: ast.AST) -> bool:
    """Whether what this node gives a value or a type to is named as a number of seconds."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.arg(arg=name):
            return is_seconds(name)
        case ast.keyword(arg=str(name)) | ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name)):
            return is_seconds(name)
        case ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)]):
            return is_seconds(name)
    return False


def floats(node: ast.AST) -> Iterator[ast.AST]:
    """The floats below this node, those for seconds aside, and those that isinstance looks for in order to refuse them."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
        return
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from floats_of_function(node)
        return
    if names_seconds(node):
        return
    if (isinstance(node, ast.Constant) and isinstance(node.value, float)) or (
        isinstance(node, ast.Name) and node.id == "float"
    ):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from floats(child)


def floats_of_function(node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[ast.AST]:
    """The name of a function excuses what it returns, the name of an argument its type and default; nothing in the body."""
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults = [*([None] * (len(positional) - len(node.args.defaults))), *node.args.defaults, *node.args.kw_defaults]
    pairs = zip([*positional, *node.args.kwonlyargs], defaults, strict=True)
    parts = [part for arg, default in pairs if not is_seconds(arg.arg) for part in (arg.annotation, default)]
    rest = [arg.annotation for arg in (node.args.vararg, node.args.kwarg) if arg]
    result = [] if is_seconds(node.name) else [node.returns]
    for part in [*node.decorator_list, *parts, *rest, *result, *node.body]:
        yield from floats(part) if part is not None else ()


def money_is_never_float(module: Module) -> Iterator[str]:
    if module.layer not in MONEY_LAYERS and module.path.parts[0] == "core":
        return
    for node in floats(module.tree):
        yield module.at(
            node,
            "a float near money: 0.1 + 0.2 is not 0.3, and a cent is lost where nobody looks. Use Decimal. "
            "Only a number of seconds may be a float, and its name says so (`timeout_seconds`).",
        )


def datetimes_are_aware(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, arguments = node.func.attr, len(node.args) + len(node.keywords)
        naive = name in {"utcnow", "utcfromtimestamp"} or (name == "fromtimestamp" and arguments < 2)
        bare = ast.unparse(node.func).endswith(("datetime.now", "datetime.today", "date.today")) and not arguments
        if naive or bare:
            yield module.at(
                node,
                f"`{ast.unparse(node)}` makes a datetime without a zone; two machines read it as two moments. "
                "Take `now` as an argument, or ask the clock.",
            )


def time_and_chance_are_handed_in(module: Module) -> Iterator[str]:
    if module.layer not in MONEY_LAYERS - {"store"} and module.path.parts[0] == "core":
        return
    for node in ast.walk(module.tree):
        called = f".{ast.unparse(node.func)}" if isinstance(node, ast.Call) else ""
        if called.endswith(tuple(f".{name}" for name in CLOCKS_AND_DICE)):
            yield module.at(
                node,
                f"`{ast.unparse(node)}` asks the machine. Time and randomness are handed in, so that a run can be repeated exactly "
                "after a crash and in a test.",
            )


def modules_have_one_idea(module: Module) -> Iterator[str]:
    lines = module.text.count("\n")
    if lines > LONGEST_MODULE:
        yield module.at(
            module.tree,
            f"{lines} lines. Past {LONGEST_MODULE} a module has more than one idea: find the second, give it a name.",
        )


Rule = Callable[[Module], Iterator[str]]
RULES: dict[Rule, tuple[str, str]] = {  # each rule with a file that breaks it
    core_imports_inwards: ("core/src/billhook/domain/x.py", "from billhook import engine"),
    the_domain_is_pure: ("core/src/billhook/domain/x.py", "import httpx"),
    providers_use_public_names: ("contrib/manual/src/billhook_manual/x.py", "from billhook.domain.money import Amount"),
    contrib_imports_no_plugin: ("contrib/manual/src/billhook_manual/x.py", "import billhook_xero"),
    imports_are_declared: ("contrib/manual/src/billhook_manual/x.py", "import httpx"),
    sdks_are_imported_late: ("contrib/manual/src/billhook_manual/x.py", "import stripe"),
    money_is_never_float: ("core/src/billhook/domain/x.py", "def total(amount: float): ..."),
    datetimes_are_aware: ("core/src/billhook/cli/x.py", "datetime.now()"),
    time_and_chance_are_handed_in: ("core/src/billhook/engine/x.py", "datetime.now(UTC)"),
    modules_have_one_idea: ("core/src/billhook/engine/x.py", "x = 1\n" * 701),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps_the_rule(rule):
    complaints = [complaint for module in modules() for complaint in rule(module)]
    assert not complaints, "\n" + "\n".join(complaints)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_bites(rule):
    path, text = RULES[rule]
    assert list(rule(Module(Path(path), text)))


@pytest.mark.parametrize(
    "text",
    [
        "def wait(timeout_seconds: float = 0.5) -> None: ...",
        "def elapsed_seconds() -> float: ...",
        "POLL_SECONDS = 0.05",
        "wait(timeout_seconds=0.5)",
        "if isinstance(value, float): refuse(value)",
    ],
)
def test_seconds_may_be_floats(text):
    assert not list(money_is_never_float(Module(Path("core/src/billhook/engine/x.py"), text)))


@pytest.mark.parametrize(
    "text",
    [
        "rate = 0.1",
        "float(amount)",
        "def f(amount=1.5): ...",
        "def elapsed_seconds():\n    return 0.1 * amount",
        "amounts: list[float]",
        "async def f() -> float: ...",
    ],
)
def test_other_floats_are_seen(text):
    assert list(money_is_never_float(Module(Path("core/src/billhook/store/x.py"), text)))


def test_an_sdk_inside_a_function_or_for_types_alone_is_fine():
    text = "if TYPE_CHECKING:\n    import stripe\ndef encode():\n    import stripe\n"
    assert not list(sdks_are_imported_late(Module(Path("contrib/manual/src/billhook_manual/x.py"), text)))

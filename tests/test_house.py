"""The rules of the house that files other than Python source must keep: packaging, documents, pins, and the public door."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import billhook

ROOT = Path(__file__).resolve().parents[1]
MEMBERS = sorted(
    path.parent for folder in ("core", "plugins/*", "contrib/*") for path in ROOT.glob(f"{folder}/pyproject.toml")
)
READ_AS_DATA = {"tzdata"}
"""No import shows these: the standard library reads them."""
MADE_BY_TOOLS = {
    ".git",
    ".nox",
    ".venv",
    "dist",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
}
INDEX_HOSTS = re.compile(r"pypi\.org|pythonhosted\.org|/simple/\w", re.IGNORECASE)
MACHINE_PATHS = re.compile(r"(?<![\w.}\]/-])/(?:work|root|opt|Users|home)/\w")


def files() -> list[Path]:
    """What is, or is about to be, part of the project. An exported tree without git is walked instead."""
    asked = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists():
        listed = subprocess.run(asked, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file() and not MADE_BY_TOOLS & set(path.parts) and path.name != "uv.lock"
    ]


def texts() -> list[tuple[Path, str]]:
    read = []
    for path in files():
        try:
            read.append((path.relative_to(ROOT), path.read_text(encoding="utf-8")))
        except UnicodeDecodeError:  # a picture, an archive
            continue
    return read


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def session_names() -> set[str]:
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {node.name for node in functions if any("nox.session" in ast.unparse(mark) for mark in node.decorator_list)}


def test_commands_in_documents_name_sessions_that_exist():
    command = re.compile(r"noxfile\.py\s+-s\s+([a-z_]+)")
    documents = [(path, text) for path, text in texts() if path.suffix == ".md" or path.parts[0] == ".ci"]
    named = {(path, name) for path, text in documents for name in command.findall(text)}
    assert named, "no document shows a command: the README has to say how to begin"
    wrong = [f"{path}: there is no session {name!r}" for path, name in named if name not in session_names()]
    assert not wrong, "a reader's first command must work:\n" + "\n".join(wrong)


def test_no_file_names_a_package_index():
    hits = found(INDEX_HOSTS)
    assert not hits, "everybody has an index of their own; a host in a file breaks theirs:\n" + "\n".join(hits)


def test_no_file_names_a_place_on_somebodys_machine():
    hits = found(MACHINE_PATHS)
    assert not hits, (
        "a path of one machine means nothing on another; derive it from the file or take it as argument:\n"
        + "\n".join(hits)
    )


def test_every_pin_is_a_plain_version():
    pin = re.compile(r"^[a-z0-9-]+==[\w.!+]+( ; [^@#]+)?$")
    wrong = [line for line in (ROOT / "tests/constraints.txt").read_text().splitlines() if not pin.match(line)]
    assert not wrong, (
        "pip and uv both read name==version; hashes and addresses tie the file to one index:\n" + "\n".join(wrong)
    )


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)
def test_every_package_says_that_it_is_typed(member):
    packages = [path for path in (member / "src").iterdir() if (path / "__init__.py").is_file()]
    assert packages
    untyped = [package.name for package in packages if not (package / "py.typed").is_file()]
    assert not untyped, f"without py.typed a user's mypy ignores our annotations: {untyped}"


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)
def test_every_dependency_states_its_reason(member):
    text = (member / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    extras = project.get("optional-dependencies", {}).values()
    wanted = [*project.get("dependencies", ()), *(requirement for extra in extras for requirement in extra)]
    bare = [line.strip() for line in text.splitlines() for name in wanted if f'"{name}"' in line and " # " not in line]
    assert not bare, "a dependency is a debt; say in a comment what it buys:\n" + "\n".join(bare)


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)
def test_every_dependency_is_used(member):
    project = tomllib.loads((member / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = [
        *project["dependencies"],
        *(each for extra in project.get("optional-dependencies", {}).values() for each in extra),
    ]
    names = {re.split(r"[\[<>=~!;, ]", each)[0].lower().replace("_", "-") for each in stated}
    of_others = {name for name in names if name.startswith("billhook") or name in READ_AS_DATA}
    used = imported(member)
    assert [name for name in sorted(names - of_others) if not used & brought_by(name)] == []


def imported(member: Path) -> set[str]:
    """The first part of every name that the member's source imports, wherever in it."""
    found: set[str] = set()
    for path in (member / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found


def brought_by(distribution: str) -> set[str]:
    """The names that can be imported once it is installed."""
    return {path.parts[0].removesuffix(".py") for path in metadata.files(distribution) or ()}


@pytest.mark.parametrize("member", MEMBERS, ids=lambda path: path.name)
def test_every_member_carries_the_licence_and_says_what_it_owns(member):
    assert (member / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes(), (
        "a wheel is given away alone: it carries the licence"
    )
    readme = (member / "README.md").read_text(encoding="utf-8").casefold()
    assert "owns " in readme, "a README begins with what the member owns"
    assert "does not own " in readme, "and with what it does not: that keeps two members from growing into one another"
    assert (member / "CHANGELOG.md").is_file(), "its users need to read what changed"


def test_ruff_rules_are_ignored_for_a_reason():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    bare = [line.strip() for line in lines if re.match(r'\s+"[A-Z]+[0-9]*",', line) and "#" not in line]
    assert not bare, "a newcomer has to be able to read why a rule does not hold here:\n" + "\n".join(bare)


def test_the_door_is_sorted_and_opens():
    names = list(billhook.__all__)
    assert names == sorted(names, key=str.casefold), (
        "sorted, so that two changes do not clash and a reader finds the name"
    )
    missing = [name for name in names if not hasattr(billhook, name)]
    assert not missing, f"named in __all__ but not there: {missing}"

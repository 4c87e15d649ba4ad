"""Writing a new plugin: every file is rendered first, and the folder appears whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

from billhook import __version__
from billhook.errors import Conflict, InvalidInput
from billhook.testing.new_plugin.names import PluginName, plugin_name

FILES: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "CHANGELOG.md": "CHANGELOG.md",
    ".gitignore": "gitignore",
    ".github/workflows/ci.yml": "ci.yml",
    "src/$package/__init__.py": "init.py",
    "src/$package/settings.py": "settings.py",
    "src/$package/encoding.py": "encoding.py",
    "src/$package/provider.py": "provider.py",
    "src/$package/simulator.py": "simulator.py",
    "src/$package/py.typed": "py.typed",
    "tests/test_conformance.py": "test_conformance.py",
    "tests/test_encoding.py": "test_encoding.py",
}
"""Where each template goes."""


@dataclass(frozen=True, slots=True)
class NewPlugin:
    """What was written, and where."""

    name: PluginName
    folder: Path
    files: tuple[str, ...]


def write_plugin(name: str, into: Path) -> NewPlugin:
    """Write the distribution ``billhook-NAME`` into that folder.

    Raises InvalidInput for a name that can't be a provider's and for a folder that is missing, Conflict where the name is taken or the
    distribution's folder is there already; then nothing is written.
    """
    plugin = plugin_name(name)
    if not into.is_dir():
        raise InvalidInput("folder_missing", f"There is no folder {into}. Make it first, or choose another.", "/into")
    folder = into / plugin.distribution
    if folder.exists():
        raise Conflict(f"{folder} is there already. Choose another folder, or move it away.", "folder_exists")
    _write(rendered(plugin), folder)
    return NewPlugin(plugin, folder, tuple(rendered(plugin)))


def rendered(plugin: PluginName) -> dict[str, str]:
    """The text of every file, by its path in the distribution."""
    words = _words(plugin)
    template = files(__package__) / "template"
    return {
        Template(path).substitute(words): Template(
            (template / f"{source}.template").read_text(encoding="utf-8")
        ).substitute(words)
        for path, source in FILES.items()
    }


def _words(plugin: PluginName) -> dict[str, str]:
    forms = ("distribution", "package", "host", "title", "word")
    return {**asdict(plugin), **{form: getattr(plugin, form) for form in forms}, "compatible": _compatible(__version__)}


def _compatible(version: str) -> str:
    """The releases that keep to what this one promises: until 1.0 the second number moves with a break."""
    major, minor, *_ = (int(number) for number in version.split("."))
    return f">={major}.{minor},<{major + 1}" if major else f">=0.{minor},<0.{minor + 1}"


def _write(texts: Mapping[str, str], folder: Path) -> None:
    """Beside its place first: whoever looks sees the whole folder or none, also where the disk is full halfway."""
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for path, text in texts.items():
            target = draft / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        draft.chmod(0o755)
        draft.rename(folder)
    except BaseException:
        shutil.rmtree(draft)
        raise

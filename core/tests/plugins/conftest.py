"""Real distributions on the import path: a folder with metadata and modules, as pip leaves them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PROVIDER = """
from __future__ import annotations
from billhook.contract import Declaration, Provider, Sdk, hookimpl

class AcmeProvider(Provider):
    declaration = Declaration(
        type="{type}", name="Acme", description="Books of Acme.", capabilities={{}},
        sdk=Sdk(requirement="acme-sdk>=2,<3", extra="sdk"),
    )
    {inside}

provider = AcmeProvider
"""


class Installer:
    """Installs distributions; the one that came last is found first."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._count = 0

    def __call__(
        self,
        distribution: str,
        entry_points: Mapping[str, Mapping[str, str]] | None = None,
        modules: Mapping[str, str] | None = None,
        version: str = "1.2.3",
    ) -> None:
        """Put a distribution there: its entry points by group, and the text of its modules."""
        site = self.folder / f"site{self._count}"
        self._count += 1
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text("".join(_section(*group) for group in (entry_points or {}).items()))
        for name, text in (modules or {}).items():
            path = site.joinpath(*name.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._monkeypatch.syspath_prepend(str(site))

    def provider(self, type_: str = "acme", *, inside: str = "pass") -> str:
        """The text of a module with one small provider."""
        return PROVIDER.format(type=type_, inside=inside)


def _section(group: str, points: Mapping[str, str]) -> str:
    return f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installer]:
    yield Installer(tmp_path, monkeypatch)
    for name, module in list(sys.modules.items()):
        if str(tmp_path) in str(getattr(module, "__file__", None)):
            del sys.modules[name]
    importlib.invalidate_caches()

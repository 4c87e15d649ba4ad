"""The metadata by which a distribution is found that is only on the path."""

from __future__ import annotations

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def describe(member: Path, home: Path) -> None:
    """Write the metadata that an installation would, unless there is one."""
    project = tomllib.loads((member / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    try:
        distribution(project["name"])
    except PackageNotFoundError:
        folder = home / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        )
        groups = project.get("entry-points", {})
        lines = [
            line
            for group, entries in groups.items()
            for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
        ]
        (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")

"""Options that every command takes may stand before it too."""

from __future__ import annotations

from collections.abc import Collection, Sequence

WITH_VALUE = ("--db", "--namespace")
WITHOUT_VALUE = ("--json",)


def shared_options_last(arguments: Sequence[str], groups: Collection[str]) -> list[str]:
    """The arguments with the shared options that stand before the command put behind everything else."""
    words: list[str] = []
    moved: list[str] = []
    rest = list(arguments)
    while rest:
        name, separator, _ = rest[0].partition("=")
        if name in WITHOUT_VALUE or (name in WITH_VALUE and separator):
            moved.append(rest.pop(0))
        elif name in WITH_VALUE:
            moved += rest[:2]
            del rest[:2]
        elif rest[0].startswith("-"):
            break
        else:
            words.append(rest.pop(0))
            if words[-1] not in groups:
                break
    end = rest.index("--") if "--" in rest else len(rest)
    return [*words, *rest[:end], *moved, *rest[end:]]

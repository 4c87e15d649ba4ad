"""Lives that chance chooses: hosts, providers, networks and crashes in any order, at several providers at once. Then everybody's books.

What fails is told with its seed and its steps; the same seed lives the same life again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent / "lives"))

from ledgers import problems
from life import Life
from regrets import undo
from steps import live


def wrong_in(url: str, seed: str, steps: int) -> list[str]:
    """Everything that is wrong after a life of so many steps, and below it how it came about."""
    life = Life.begin(url, seed)
    try:
        live(life, steps)
        life.heal(undo)
        wrong = list(problems(life))
    except Exception as error:
        raise AssertionError("\n".join([f"the life of seed {seed} ends: {error!r}", *life.told])) from error
    finally:
        life.engine.close()
    return wrong and [*wrong, f"This was the life of seed {seed}:", *life.told]


@pytest.mark.parametrize("seed", range(4))
def test_a_short_life_leaves_everybodys_books_the_same(sqlite_shelf: Any, seed: int):
    url = sqlite_shelf.take()
    assert wrong_in(url, f"short {seed}", 60) == []
    sqlite_shelf.give_back(url)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100))
def test_a_long_life_leaves_everybodys_books_the_same(shelf: Any, seed: int):
    url = shelf.take()
    assert wrong_in(url, f"long {seed}", 150) == []
    shelf.give_back(url)

"""Measures the engine against a bare driver that writes the same rows, and prints ratios."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark with these arguments, the process's own if none are given. Returns the exit status."""
    from billhook.testing.bench.command import main as run

    return run(argv)

"""Runs the code blocks of one page of the documentation, top to bottom, in one process and in the current folder.

    python run_page.py PAGE

What the first line of a block says decides what happens:

    python            run; a `text` block straight after it is what it prints
    console           every line after `$ ` is a command; the lines below it are what it prints
    ... file=NAME     written to that file
    ... exit=1        the command ends with that status
    ... no-run        shown only; the page says why
    ... shows=HOOK    run; the reference takes its example of that hook from here
    ... wrong         run; shows how not to do it, so the reference takes no example from it
    ... excerpt       shown only; a generator cut it out of what runs elsewhere

In shown output `...` stands for anything. Other blocks (text, mermaid, sh) are shown only. A comment `<!-- goes on from OTHER.md -->` has the
files of another page written first.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
import traceback
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_ONLY = frozenset({"text", "mermaid", "sh"})
NOT_RUN = frozenset({"no-run", "excerpt"})
GOES_ON = re.compile(r"^<!-- goes on from (?P<other>\S+) -->$", re.MULTILINE)
LOOSELY = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
WIDTH = "120"

# The sessions of the noxfile that a page shows; what they install is here already.
SESSIONS = {"python3 noxfile.py -s demo": "billhook demo"}


@dataclass(frozen=True)
class Block:
    """One fenced block: its words, its text, where it begins, and whether only blank lines part it from the one before."""

    words: tuple[str, ...]
    text: str
    line: int
    follows: bool

    @property
    def language(self) -> str:
        """The first word; "" when there is none."""
        return self.words[0] if self.words else ""

    def option(self, name: str) -> str | None:
        """What stands after `name=`."""
        return next((word.partition("=")[2] for word in self.words if word.startswith(f"{name}=")), None)


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page."""
    end = 0
    for found in FENCE.finditer(page):
        line = page.count("\n", 0, found.start("body")) + 1
        follows = not page[end : found.start()].strip()
        yield Block(tuple(found["info"].split()), found["body"], line, follows)
        end = found.end()


def run(page: Path) -> None:
    """Run every block. Raises SystemExit that names the page and the line of what went wrong."""
    module = types.ModuleType("page")
    sys.modules["page"] = module
    text = page.read_text(encoding="utf-8")
    for found in GOES_ON.finditer(text):
        write_files(page.parent / found["other"])
    printed: str | None = None
    for block in blocks(text):
        where = f"{page}:{block.line}"
        if block.language == "text" and block.follows and printed is not None:
            compare(where, block.text, printed)
        printed = run_block(block, page, module, where)


def run_block(block: Block, page: Path, module: types.ModuleType, where: str) -> str | None:
    """Do what the block asks for; what a Python block printed."""
    if block.option("file") is not None:
        write_file(block)
    elif NOT_RUN & set(block.words) or block.language in SHOWN_ONLY:
        return None
    elif block.language == "python":
        return run_python(block, page, module)
    elif block.language == "console":
        run_console(block, where)
    else:
        raise SystemExit(f"{where}: nobody knows how to run a block of {block.language or 'no language'!r}")
    return None


def write_files(page: Path) -> None:
    """Write the files of a page without running it."""
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.option("file") is not None:
            write_file(block)


def write_file(block: Block) -> None:
    """Write the block to the file that it names."""
    path = Path(block.option("file") or "")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(block.text, encoding="utf-8")


def run_python(block: Block, page: Path, module: types.ModuleType) -> str:
    """Run it where the blocks before it ran."""
    # Blank lines in front make a traceback show the line of the page.
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True)
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        exec(code, vars(module))
    return shown.getvalue()


def run_console(block: Block, where: str) -> None:
    """Run its commands one after the other."""
    wanted_status = int(block.option("exit") or 0)
    for command, shown in commands(block.text):
        done = subprocess.run(
            ["bash", "-c", SESSIONS.get(command, command)],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "COLUMNS": WIDTH, "NO_COLOR": "1", "TERM": "dumb"},
        )
        if done.returncode != wanted_status:
            raise SystemExit(f"{where}: {command} ended with {done.returncode}\n{done.stdout}{done.stderr}")
        if shown.strip():
            compare(f"{where}: {command}", shown, done.stdout + done.stderr)


def commands(text: str) -> Iterator[tuple[str, str]]:
    """Each command with the output that is shown for it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        count = next(place for place, line in enumerate(lines, 1) if not line.endswith("\\\n"))
        yield "".join(lines[:count]).strip(), "".join(lines[count:])


def compare(where: str, shown: str, printed: str) -> None:
    """Raise SystemExit when what was printed is not what is shown."""
    if not doctest.OutputChecker().check_output(shown, printed, LOOSELY):
        raise SystemExit(f"{where}: this is shown:\n{shown}\nthis was printed:\n{printed}")


def main(page: Path) -> None:
    """Run the page; on failure leave at once, because threads that it started may still be waiting."""
    sys.path.insert(0, str(Path.cwd()))  # what a page wrote can be imported by it
    try:
        run(page)
    except BaseException as failure:  # noqa: BLE001 - whatever it was, it is shown
        print(failure if isinstance(failure, SystemExit) else traceback.format_exc(), file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

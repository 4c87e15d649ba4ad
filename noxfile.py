# /// script
# requires-python = ">=3.11"
# dependencies = ["nox>=2025.2.9"]
# ///
"""Everything that can be run here, each by one command.

    python3 noxfile.py                  lint, types and tests
    python3 noxfile.py -l               all sessions
    python3 noxfile.py -s NAME -- ARGS  one session; what follows the dashes goes to the program it runs
    uv run noxfile.py -s NAME           the same with uv

Needs Python 3.11 or later and pip, nothing else: where nox is missing it is first installed into .nox/bootstrap.
"""

from __future__ import annotations

import difflib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = ROOT / "tests" / "constraints.txt"
OLDEST_NOX = (2025, 2, 9)
SCRIPTS = "Scripts" if os.name == "nt" else "bin"


def nox_is_here() -> bool:
    try:
        return tuple(int(part) for part in version("nox").split(".")) >= OLDEST_NOX
    except PackageNotFoundError:
        return False


def run_again_with_nox() -> int:
    """Run this file with the same arguments inside a private environment that has nox; the exit status of that run."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts it may have anything
        sys.exit(f"Python {sys.version.split()[0]} is too old: run this file with Python 3.11 or later.")
    home = ROOT / ".nox" / "bootstrap"
    python = home / SCRIPTS / "python"
    ready, contents = home / "ready", f"{sys.version}\n{CONSTRAINTS.read_text()}"
    if not ready.is_file() or ready.read_text() != contents:
        print("nox is not installed: installing it into .nox/bootstrap", file=sys.stderr, flush=True)  # noqa: T201
        make_environment(home)
        subprocess.run([python, "-m", "pip", "install", "-q", "-c", CONSTRAINTS, "nox"], check=True)
        ready.write_text(contents)
    return subprocess.run([python, __file__, *sys.argv[1:]], check=False).returncode


def make_environment(home: Path) -> None:
    """Make an empty environment with pip at `home`, in place of whatever stood there."""
    try:
        venv.create(home, clear=True, with_pip=True)
    except subprocess.CalledProcessError:
        sys.exit(
            f"{sys.executable} can't make environments. Install its venv module (Debian: python3-venv), run again."
        )


if not nox_is_here():
    sys.exit(run_again_with_nox())

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.default_venv_backend = "uv|virtualenv"

PYPROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PATTERNS = PYPROJECT["tool"]["uv"]["workspace"]["members"]
MEMBERS = sorted(path.relative_to(ROOT).as_posix() for pattern in PATTERNS for path in ROOT.glob(pattern))
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# Half as many again as there are cores: tests wait for the processes that they start.
SPREAD = (f"--numprocesses={CORES + CORES // 2}", "--dist=worksteal")
MEMORY, ROOM_BYTES = Path("/dev/shm"), 4 * 1024**3  # noqa: S108 - the folder in it is our own
EDITABLE = ("-e", "core[postgres,server,testing]", *(f"-e{member}" for member in MEMBERS if member != "core"))


def groups(*names: str) -> tuple[str, ...]:
    """The requirements of these dependency groups. pip below 25.1 can't read groups itself."""
    return nox.project.dependency_groups(PYPROJECT, *names)


def workshop_python(session: nox.Session) -> str:
    return str(session.cache_dir.parent / "workshop" / SCRIPTS / "python")


def without_waiting() -> dict[str, str | None]:
    """The environment in which tests don't wait for a disk: what is compiled is kept, and temporary files are in memory.

    Nothing proven is lost: tests kill processes, not machines. Whoever sets TMPDIR has the files there.
    """
    compiled: dict[str, str | None] = {"PYTHONDONTWRITEBYTECODE": None}
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM_BYTES:
        return compiled
    folder = MEMORY / f"billhook-{os.getuid()}"  # short, because a socket's path has to be
    folder.mkdir(exist_ok=True)
    return {**compiled, "TMPDIR": str(folder)} if folder.stat().st_uid == os.getuid() else compiled


def run_tests(session: nox.Session, *command: str) -> None:
    """Run a command of the shared environment's Python that runs tests."""
    session.run(workshop_python(session), "-m", *command, env=without_waiting())


@nox.session(default=False, reuse_venv=True)
def workshop(session: nox.Session) -> None:
    """Bring the environment that lint, types, tests and others share up to date: every member editable, every tool."""
    session.install("-c", str(CONSTRAINTS), *groups("test", "lint", "types", "bench", "docs"), *EDITABLE)


@nox.session(venv_backend="none", requires=["workshop"])
def lint(session: nox.Session) -> None:
    """Ruff: rules and formatting. `-- --fix` repairs what can be repaired."""
    python = workshop_python(session)
    session.run(python, "-m", "ruff", "check", *session.posargs, ".")
    session.run(python, "-m", "ruff", "format", *([] if "--fix" in session.posargs else ["--check"]), ".")


@nox.session(venv_backend="none", requires=["workshop"])
def types(session: nox.Session) -> None:
    """Mypy, strict, over every member's source and this file."""
    session.run(workshop_python(session), "-m", "mypy", *session.posargs)


@nox.session(venv_backend="none", requires=["workshop"])
def tests(session: nox.Session) -> None:
    """Every test but those with a session of their own. Arguments go to pytest."""
    run_tests(session, "pytest", *SPREAD, *session.posargs)


@nox.session(venv_backend="none", requires=["workshop"], default=False)
def coverage(session: nox.Session) -> None:
    """The tests again, with the lines and branches that none of them reaches."""
    run_tests(session, "coverage", "run", "-m", "pytest", *session.posargs)
    session.run(workshop_python(session), "-m", "coverage", "report")


@nox.session(venv_backend="none", requires=["workshop"], default=False)
def crash(session: nox.Session) -> None:
    """The long enumerations: every pair of crashes, every loss at every step, random lives, 100,000 random invoices at each provider. Hours."""
    run_tests(session, "pytest", "-m", "long", *SPREAD, *session.posargs)


@nox.session(venv_backend="none", requires=["workshop"], default=False)
def clients(session: nox.Session) -> None:
    """`billhook serve` under OpenMeter's published clients (npm's needs node), and under whatever may be sent. Minutes."""
    run_tests(session, "pytest", "-m", "clients", "tests/clients", *session.posargs)


@nox.session(venv_backend="none", requires=["workshop"], default=False)
def bench(session: nox.Session) -> None:
    """The engine against a bare driver, as ratios, on both stores. Judge them on a quiet machine."""
    session.run(workshop_python(session), "-m", "billhook.testing.bench", *session.posargs)


@nox.session(venv_backend="none", requires=["workshop"], default=False)
def month_end(session: nox.Session) -> None:
    """100,000 invoices under the limits of Xero, QuickBooks and Stripe, in simulated time. Hours; `-- --scale 100` minutes."""
    session.run(workshop_python(session), "tests/month_end", *session.posargs)


@nox.session(venv_backend="none", requires=["workshop"], default=False)
def docs(session: nox.Session) -> None:
    """Fail where a generated page of the reference is stale; `-- --write` writes them anew."""
    session.run(workshop_python(session), "docs/generate.py", *(session.posargs or ["--check"]))


@nox.session(venv_backend="none", requires=["workshop"], default=False)
def matrix(session: nox.Session) -> None:
    """Examine the providers of this repository, or those that are named: each up to gold. Keeps their reports for the documentation. Minutes."""
    session.run(workshop_python(session), "docs/generate.py", "--reports", *session.posargs, env=without_waiting())


@nox.session(default=False, reuse_venv=True)
def demo(session: nox.Session) -> None:
    """Carry a real trading day through Xero and Stripe as simulated on this machine. Needs no account anywhere."""
    session.install("-c", str(CONSTRAINTS), *(f"-e{member}" for member in MEMBERS))
    session.run("billhook", "demo", *session.posargs)


@nox.session(default=False)
def wheels(session: nox.Session) -> None:
    """Build every member, install the wheels into an empty environment outside the checkout, and use them there."""
    session.install("-c", str(CONSTRAINTS), *groups("release"), "pytest")
    shelf = Path(session.create_tmp()) / "wheels"
    shutil.rmtree(shelf, ignore_errors=True)
    for member in MEMBERS:
        session.run("python", "-m", "build", "--wheel", "--outdir", str(shelf), member, silent=True)
    with tempfile.TemporaryDirectory(prefix="billhook-wheels-") as elsewhere:
        home = Path(elsewhere, "environment")
        make_environment(home)
        built = [str(wheel) for wheel in sorted(shelf.glob("*.whl"))]
        installed = home / SCRIPTS / "python"
        session.run(installed, "-m", "pip", "install", "-q", "-c", str(CONSTRAINTS), *built, external=True)
        env = {"BILLHOOK_INSTALLED_PYTHON": str(installed)}
        session.run("python", "-m", "pytest", "-m", "install", "tests/test_install.py", *session.posargs, env=env)


@nox.session(default=False)
def lowest(session: nox.Session) -> None:
    """The tests with the lowest version of everything that a member names directly."""
    session.install("-c", str(CONSTRAINTS), *groups("release"))
    resolve = ("uv", "pip", "install", "--python", session.virtualenv.location, "--resolution", "lowest-direct")
    session.run(*resolve, *groups("test"), *EDITABLE)
    session.run("python", "-m", "pytest", *session.posargs, env=without_waiting())


@nox.session(default=False)
def pins(session: nox.Session) -> None:
    """Pin everything that the sessions install to its newest version, and show what changed."""
    session.install(*groups("release"))
    everything = ("--all-packages", "--all-groups", "--all-extras", "--no-emit-workspace", "--upgrade")
    plain = ("--no-hashes", "--no-annotate", "--no-header", "--quiet")
    before = CONSTRAINTS.read_text().splitlines()
    session.run("uv", "export", *everything, *plain, "--output-file", str(CONSTRAINTS), silent=True)
    after = CONSTRAINTS.read_text().splitlines()
    changes = [line for line in difflib.unified_diff(before, after, lineterm="", n=0) if line[:3] not in {"---", "+++"}]
    session.log("\n".join(changes) or "every pin is the newest already")


if __name__ == "__main__":
    sys.argv[1:1] = ["--noxfile", __file__]
    nox.main()

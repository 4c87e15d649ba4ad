"""Bronze: it loads, and tells the truth about itself. None of these checks sends anything."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from pydantic import BaseModel, SecretStr

from billhook.contract import Capability, Outgoing, Provider, Refusal, Reply, Request
from billhook.contract.operations import PURE_HOOKS
from billhook.domain.invoice import InvoiceView
from billhook.errors import BillhookError, ConfigError, ProviderLoadError
from billhook.plugins.imports import check_imports
from billhook.testing.builders import NEW_YEAR, a_content, a_view, an_invoice
from billhook.testing.kit.check import Check, Exempt, Failed, Passed, Tier, Verdict
from billhook.testing.kit.examination import Examination
from billhook.testing.kit.rules import Rule
from billhook.testing.kit.telling import told_with_place

CANARY = "canary-9f31c0de-do-not-show"
STATUSES = (
    200,
    201,
    202,
    204,
    301,
    302,
    400,
    401,
    402,
    403,
    404,
    408,
    409,
    410,
    412,
    422,
    425,
    429,
    500,
    502,
    503,
    504,
)
BODIES = (b"", b"{}", b"[]", b"null", b"{", b"<html></html>", b"\xff\xfe", b'{"error": "no"}', b"0", b'"text"')
WEBHOOKS = (*BODIES, b'{"events": 1}', b'{"type": []}', b"\x00" * 64)
_DESCRIBE = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from importlib.metadata import EntryPoint
provider = EntryPoint("described", sys.argv[1], "billhook.providers").load()
print(json.dumps(provider.declaration.describe()))
"""
SUBPROCESS_SECONDS = 60


def loads(examination: Examination) -> Verdict:
    """It is found once, is imported, and every hook has its form."""
    try:
        provider = examination.subject.load()
    except ProviderLoadError as error:
        return Failed("it loads, does what it declares, and every hook has its form", str(error))
    return Passed(len(provider.declaration.capabilities), "capability")


def imports_lightly(examination: Examination) -> Verdict:
    """Loading it imports nobody else's package."""
    try:
        check_imports(examination.subject.target)
    except ProviderLoadError as error:
        return Failed("loading it imports its own package and the contract's alone", str(error))
    return Passed()


def is_described_the_same(examination: Examination) -> Verdict:
    """Its description does not depend on the process that asks."""
    texts = {described_in_a_process(examination.subject.target, seed) for seed in ("0", "1", "2")}
    if len(texts) > 1:
        return Failed("the declaration is the same in every process", f"there are {len(texts)} of it: {_first(texts)}")
    return Passed(3, "process")


def described_in_a_process(target: str, hash_seed: str) -> str:
    """The declaration as JSON, from a fresh interpreter. Raises ProviderLoadError where it ends badly."""
    return run_in_a_process(_DESCRIBE, target, hash_seed)


def run_in_a_process(script: str, target: str, hash_seed: str, *arguments: str) -> str:
    """What a script prints under that hash seed, with this process's path. Raises ProviderLoadError where it ends badly."""
    command = [sys.executable, "-c", script, target, json.dumps(sys.path), *arguments]
    run = subprocess.run(  # noqa: S603 - our own interpreter and script
        command,
        capture_output=True,
        text=True,
        timeout=SUBPROCESS_SECONDS,
        check=False,
        env={"PYTHONHASHSEED": hash_seed, "PATH": ""},
    )
    if run.returncode != 0:
        reason = (run.stderr.strip() or "it gave no reason").splitlines()[-1]
        raise ProviderLoadError(f"{target} could not be run in a fresh interpreter: {reason}")
    return run.stdout


def _first(texts: set[str]) -> str:
    one, other, *_ = sorted(texts)
    place = next(at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return f"...{one[max(place - 30, 0) : place + 30]!r} and ...{other[max(place - 30, 0) : place + 30]!r}"


def explains_its_settings(examination: Examination) -> Verdict:
    """Every setting and every credential says what it is."""
    fields = [
        (f"{kind} {name}", field) for kind, model in _models(examination) for name, field in model.model_fields.items()
    ]
    silent = [name for name, field in fields if not field.description]
    if silent:
        return Failed(
            "every field of the settings and credentials has a description", f"there is none for {', '.join(silent)}"
        )
    return Passed(len(fields), "field") if fields else Exempt("it takes no settings and no credentials")


def _models(examination: Examination) -> Iterator[tuple[str, type[BaseModel]]]:
    declaration = examination.subject.declaration
    yield "setting", declaration.settings
    if declaration.credentials is not None:
        yield "credential", declaration.credentials


def hides_its_secrets(examination: Examination) -> Verdict:
    """Credentials show in no text."""
    model = examination.subject.declaration.credentials
    if model is None:
        return Exempt("it takes no credentials")
    made = _canaries(model)
    shown = [form(made) for form in (repr, str, lambda value: value.model_dump_json(warnings=False))]
    if any(CANARY in text for text in shown):
        open_fields = [name for name, value in made if not isinstance(value, SecretStr)]
        return Failed("credentials are SecretStr and show in no text", f"these are shown: {', '.join(open_fields)}")
    return _says_nothing_when_refused(examination)


def _canary(annotation: Any) -> Any:
    return SecretStr(CANARY) if "SecretStr" in str(annotation) else CANARY


def _says_nothing_when_refused(examination: Examination) -> Verdict:
    try:
        examination.handle.credentials({"no_such_credential": CANARY})
    except ConfigError as error:
        if CANARY in str(error):
            return Failed("what refuses credentials does not show them", "the refused value stands in the error")
    return Passed()


def answers_the_same_twice(examination: Examination) -> Verdict:
    """Pure hooks depend on their arguments alone."""
    pure = [hook for hook in PURE_HOOKS - {Capability.ASSIGN_NUMBER} if examination.subject.can(hook)]
    if not pure:
        return Exempt("it maps no lines and validates no invoices of its own")
    try:
        settings = examination.settings
    except BillhookError as error:
        return Exempt(f"its settings can't be made up, because they have no examples: {error}")
    views = [_view(lines, examination.subject.currency) for lines in (1, 3, 7)]
    for view in views:
        first, second = (_pure_answers(examination, view, settings) for _ in range(2))
        reverse = _pure_answers(examination, view, settings, backwards=True)
        if not first == second == reverse:
            return Failed(
                "the same line is mapped the same, whenever and in whatever order", f"{first} and then {second}"
            )
    return Passed(len(views), "invoice")


def _view(lines: int, currency: str) -> InvoiceView:
    return a_view(a_content(an_invoice(lines=lines, currency=currency)))


def _pure_answers(
    examination: Examination, view: InvoiceView, settings: Any, *, backwards: bool = False
) -> tuple[Any, Any]:
    handle, subject = examination.handle, examination.subject
    lines = view.lines[::-1] if backwards else view.lines
    mapped = {}
    if subject.can(Capability.MAP_LINE):
        mapped = {line.id: handle.map_line(line, view, settings) for line in lines}
    issues: tuple[Any, ...] = ()
    if subject.can(Capability.VALIDATE_INVOICE):
        known = [to for line in view.lines if (to := mapped.get(line.id)) is not None]
        issues = handle.validate_invoice(view, known, settings)
    return mapped, issues


def classifies_every_reply(examination: Examination) -> Verdict:
    """Whatever comes back has a verdict."""
    if not examination.subject.remote_operations:
        return Exempt("it asks nobody outside")
    requests = (Request("check", "POST", "http://there.test/"), Request("check", "GET", "http://there.test/"))
    replies = [Reply(status, (("content-type", "application/json"),), body) for status in STATUSES for body in BODIES]
    for request in requests:
        for reply in replies:
            problem = _raised(partial(examination.handle.classify, request, reply))
            if problem is not None:
                return Failed(
                    "every reply has a verdict", f"{reply.status} with {reply.body!r} to a {request.method}: {problem}"
                )
    return Passed(len(requests) * len(replies), "reply")


def survives_any_webhook(examination: Examination) -> Verdict:
    """Bytes of strangers are refused, and never raise."""
    if not examination.subject.can(Capability.READ_WEBHOOK):
        return Exempt(examination.subject.declaration.why_not(Capability.READ_WEBHOOK))
    try:
        settings = examination.settings
    except BillhookError as error:
        return Exempt(f"its settings can't be made up, because they have no examples: {error}")
    secrets, now = _canaries(examination.subject.declaration.credentials), NEW_YEAR
    for body in WEBHOOKS:
        read = partial(examination.handle.read_webhook, {}, body, secrets, now, settings)
        problem = _raised(read)
        if problem is not None:
            return Failed("an unsigned webhook is refused", f"{body!r}: {problem}")
        if not isinstance(read(), Refusal):
            return Failed("an unsigned webhook is refused", f"{body!r} is taken")
    return Passed(len(WEBHOOKS), "webhook")


def _canaries(model: type[BaseModel] | None) -> Any:
    """Credentials that guard nothing, and are known again wherever they show."""
    if model is None:
        return None
    return model.model_construct(**{name: _canary(field.annotation) for name, field in model.model_fields.items()})


def signs_without_changing(examination: Examination) -> Verdict:
    """Credentials are added to a request, and nothing of it changes."""
    subject = examination.subject
    if Provider.authenticate is subject.provider.authenticate:
        return Exempt("it signs nothing")
    try:
        bench = examination.bench()
    except BillhookError as error:
        return Exempt(f"there are no credentials to sign with: {error}")
    with bench:
        plain = Outgoing("POST", "http://there.test/things?a=1", (("content-type", "application/json"),), b'{"a":1}')
        signed = bench.handle.authenticate(plain, bench.credentials, bench.clock.now())
    lost = [pair for pair in plain.headers if pair not in signed.headers]
    if (signed.method, signed.body) != (plain.method, plain.body) or not signed.url.startswith(plain.url) or lost:
        return Failed("authenticate adds credentials and changes nothing else", f"{plain} became {_masked(signed)}")
    return Passed()


def _masked(signed: Outgoing) -> str:
    return f"{signed.method} {signed.url} {signed.body!r} with {[name for name, _ in signed.headers]}"


def _raised(act: Callable[[], object]) -> str | None:
    try:
        act()
    except Exception as error:  # noqa: BLE001 - whatever a plugin raises is what is reported
        return told_with_place(error)
    return None


def _check(name: str, rule: Rule, run: Callable[[Examination], Verdict]) -> Check:
    promise = (run.__doc__ or "").splitlines()[0]
    return Check(name, Tier.BRONZE, rule, promise, run, remote=False)


CHECKS: tuple[Check, ...] = (
    _check("loads", Rule.LOAD, loads),
    _check("imports_lightly", Rule.LOAD, imports_lightly),
    _check("is_described_the_same", Rule.LOAD, is_described_the_same),
    _check("explains_its_settings", Rule.LOAD, explains_its_settings),
    _check("hides_its_secrets", Rule.NO_CREDENTIALS, hides_its_secrets),
    _check("signs_without_changing", Rule.NO_CREDENTIALS, signs_without_changing),
    _check("answers_the_same_twice", Rule.FREEZE, answers_the_same_twice),
    _check("classifies_every_reply", Rule.CLASSIFY, classifies_every_reply),
    _check("survives_any_webhook", Rule.EVENTS, survives_any_webhook),
)

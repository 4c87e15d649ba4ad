"""Storing documents from a file: all of them or none, or the good ones with a report about the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from billhook.cli.draft_files import RawDraft, read_drafts
from billhook.cli.exits import REFUSED
from billhook.cli.output import table
from billhook.cli.progress import progress
from billhook.cli.session import Session
from billhook.errors import BillhookError, InvalidInput, KeyOfDeleted, NotFound, Problem

if TYPE_CHECKING:
    from rich.console import RenderableType

    from billhook.domain.invoice import InvoiceDraft
    from billhook.engine.namespace import Namespace

CHUNK = 500
"""How many documents one transaction takes in."""


@dataclass(slots=True)
class Intake:
    """What became of the documents of a file."""

    created: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, raw: RawDraft, problems: Sequence[Problem]) -> None:
        """Note why a document is not stored."""
        first = problems[0]
        reason = "; ".join(
            f"{problem.path}: {problem.message}" if problem.path else problem.message for problem in problems
        )
        self.refused.append({"document": raw.name, "code": first.code, "reason": reason, "problems": list(problems)})


def create_documents(session: Session, file: Path, *, skip_bad: bool, only: str | None = None) -> None:
    """Store the documents of a file and answer with their ids. ``only`` is the type that they must have, or get."""
    raws = read_drafts(file)
    with session.billing() as billing:
        intake = Intake()
        good = list(_parsed(billing, raws, only, intake))
        if intake.refused and not skip_bad:
            raise _refusal(intake)
        with progress("storing documents", len(good)) as advance:
            for kind in ("standard", "credit_note"):
                for chunk in _chunks([(raw, draft) for raw, draft in good if draft.type.value == kind]):
                    _store(billing, kind, chunk, intake, skip_bad=skip_bad)
                    advance(len(chunk))
    session.answer(intake, lambda: _report(intake))
    if intake.refused:
        raise typer.Exit(REFUSED)


def _parsed(
    billing: Namespace, raws: Sequence[RawDraft], only: str | None, intake: Intake
) -> Iterator[tuple[RawDraft, InvoiceDraft]]:
    """The sound drafts; the others are noted in the intake."""
    from billhook.domain.parsing import parse_draft

    known: dict[str, bool] = {}
    for raw in raws:
        if only is not None and isinstance(raw.draft, dict):
            raw.draft.setdefault("type", only)
        problems = list(raw.problems)
        try:
            draft = parse_draft(raw.draft)
        except InvalidInput as error:
            problems += [Problem(each.code, each.message, raw.placed(each.path)) for each in error.problems]
        else:
            problems += _customer_problems(billing, raw, draft, known)
            if not problems:
                yield raw, draft
                continue
        intake.refuse(raw, problems)


def _customer_problems(
    billing: Namespace, raw: RawDraft, draft: InvoiceDraft, known: dict[str, bool]
) -> Iterator[Problem]:
    customer = draft.customer_id or draft.customer_key or ""
    if customer not in known:
        known[customer] = _is_there(billing, customer)
    if not known[customer]:
        message = f"There is no customer {customer!r} in namespace {billing.name!r}. Create it first."
        yield Problem("customer_not_found", message, raw.placed("/customer_key"))


def _is_there(billing: Namespace, customer: str) -> bool:
    try:
        return billing.customers.get(customer).deleted_at is None
    except NotFound:
        return False


def _refusal(intake: Intake) -> InvalidInput:
    problems = [problem for entry in intake.refused for problem in entry["problems"]]
    names = ", ".join(entry["document"] for entry in intake.refused[:5])
    more = f" and {len(intake.refused) - 5} more" if len(intake.refused) > 5 else ""
    message = f"{names}{more} can't be stored, so nothing was. First: {intake.refused[0]['reason']}"
    return InvalidInput("documents_refused", f"{message} Correct the file, or add --skip-bad.", problems=problems)


def _store(
    billing: Namespace, kind: str, chunk: Sequence[tuple[RawDraft, InvoiceDraft]], intake: Intake, *, skip_bad: bool
) -> None:
    submit_many = billing.invoices.submit_many if kind == "standard" else billing.credit_notes.submit_many
    try:
        _check_deleted(billing, [draft for _, draft in chunk])
        ids = submit_many([draft for _, draft in chunk])
    except BillhookError as error:
        if not skip_bad:
            raise
        if len(chunk) == 1:
            intake.refuse(chunk[0][0], getattr(error, "problems", ()) or [Problem(error.code, str(error))])
            return
        for entry in chunk:
            _store(billing, kind, [entry], intake, skip_bad=True)
        return
    pairs = zip(ids, chunk, strict=True)
    intake.created += [{"id": id, "key": draft.key, "type": kind} for id, (_, draft) in pairs]


def _check_deleted(billing: Namespace, drafts: Sequence[InvoiceDraft]) -> None:
    """Raise KeyOfDeleted: a file that is stored again would seem to bring back what was deleted."""
    deleted = billing.invoices.deleted_by_key(draft.key for draft in drafts if draft.key is not None)
    for key, id in deleted.items():
        raise KeyOfDeleted(key, f"invoice {id}")


def _chunks(entries: list[Any]) -> Iterator[list[Any]]:
    return (entries[start : start + CHUNK] for start in range(0, len(entries), CHUNK))


def _report(intake: Intake) -> RenderableType:
    from rich.console import Group

    stored = table(("id", "key", "type"), [(entry["id"], entry["key"], entry["type"]) for entry in intake.created])
    if not intake.refused:
        return stored
    rows = [(entry["document"], entry["code"], entry["reason"]) for entry in intake.refused]
    return Group(stored, table(("refused", "code", "because"), rows))

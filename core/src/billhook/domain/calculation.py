"""From what a host asked for to one calculated revision. Pure: the same input gives the same revision.

Lines are rated and rounded first, then taxed; the document's totals are the sums of its lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from billhook.domain.base import Description, Metadata, Value
from billhook.domain.discount import AppliedDiscount, DiscountReason
from billhook.domain.exchange import ExchangeRate
from billhook.domain.ids import child_ulid
from billhook.domain.invoice import (
    DetailedLine,
    ExpectedTotals,
    InvoiceContent,
    InvoiceDraft,
    Line,
    LineDraft,
    LineDrafts,
    Totals,
    is_plain,
)
from billhook.domain.money import EXACT, ONE, ZERO, InexactAmount, amount, is_exact, settle, total_of
from billhook.domain.party import CustomerSnapshot, Supplier
from billhook.domain.period import Period, UtcDatetime
from billhook.domain.price import FlatPrice
from billhook.domain.rating import (
    Terms,
    charged_quantity,
    detailed_line,
    free_quantities,
    rated_charges,
    refuse_progressive_billing,
)
from billhook.domain.tax import TaxAmount, TaxBehavior, TaxConfig, taxes_on
from billhook.domain.workflow import WorkflowConfig
from billhook.errors import InvalidInput, Problem

NO_QUANTITIES: Mapping[str, Decimal] = {}


class InvoiceEdit(Value):
    """What an edit changes: the fields that it states. Lines are the whole new list; known ids keep their lines. `issued_at` and `due_at`
    are no content: null gives them back to the workflow."""

    lines: LineDrafts | None = None
    description: Description | None = None
    metadata: Metadata | None = None
    customer: CustomerSnapshot | None = None
    supplier: Supplier | None = None
    workflow: WorkflowConfig | None = None
    period: Period | None = None
    exchange_rate: ExchangeRate | None = None
    expected_totals: ExpectedTotals | None = None
    issued_at: UtcDatetime | None = None
    due_at: UtcDatetime | None = None


def calculate(
    draft: InvoiceDraft,
    *,
    line_ids: Sequence[str],
    customer: CustomerSnapshot,
    supplier: Supplier,
    workflow: WorkflowConfig,
    quantities: Mapping[str, Decimal] = NO_QUANTITIES,
) -> InvoiceContent:
    """The first revision of that draft.

    `line_ids` has an id for each line, used where the line brings none. `quantities` answers for metered lines, by line
    id. Raises InvalidInput that lists every line that cannot be calculated.
    """
    lines = calculated_lines(draft.lines, line_ids, draft.currency, workflow, quantities)
    return InvoiceContent(
        type=draft.type,
        currency=draft.currency,
        customer=customer,
        supplier=supplier,
        lines=lines,
        totals=summed(line.totals for line in lines),
        period=draft.period,
        workflow=workflow,
        exchange_rate=draft.exchange_rate,
        credited_invoice_id=draft.credited_invoice_id,
        description=draft.description,
        metadata=draft.metadata,
        expected_totals=draft.expected_totals,
    )


def recalculate(
    content: InvoiceContent,
    edit: InvoiceEdit,
    *,
    line_ids: Sequence[str] = (),
    quantities: Mapping[str, Decimal] = NO_QUANTITIES,
) -> InvoiceContent:
    """The next revision. Lines that stay keep their ids and metered quantities; taxes are computed anew.

    `line_ids` is needed where the edit states lines: an id for each, used where the line brings none.
    """
    drafts = edit.lines or tuple(as_draft(line) for line in content.lines)
    ids = line_ids if edit.lines else [line.id for line in content.lines]
    workflow = edit.workflow or content.workflow
    known = {line.id: metered_quantity_of(line) for line in content.lines}
    lines = calculated_lines(drafts, ids, content.currency, workflow, {**known, **quantities})
    replaced = {name: value for name, value in _stated(edit) if name in InvoiceContent.model_fields and name != "lines"}
    return content.model_copy(update={**replaced, "lines": lines, "totals": summed(line.totals for line in lines)})


CLEARABLE = frozenset({"description", "period", "exchange_rate", "expected_totals"})


def _stated(edit: InvoiceEdit) -> Iterable[tuple[str, object]]:
    for name in edit.model_fields_set:
        value = getattr(edit, name)
        if value is not None or name in CLEARABLE:
            yield name, value


def apply_taxes(content: InvoiceContent, taxes: Mapping[str, tuple[TaxAmount, ...]]) -> InvoiceContent:
    """The revision with the taxes that a tax provider computed, by line id. Lines not named keep theirs."""
    lines = tuple(
        _taxed(line, taxes[line.id], content.currency) if line.id in taxes else line for line in content.lines
    )
    return content.model_copy(update={"lines": lines, "totals": summed(line.totals for line in lines)})


def calculated_lines(
    drafts: Sequence[LineDraft],
    line_ids: Sequence[str],
    currency: str,
    workflow: WorkflowConfig,
    quantities: Mapping[str, Decimal],
) -> tuple[Line, ...]:
    """The lines rated, discounted and taxed. Raises InvalidInput that lists every line that cannot be."""
    lines, problems = [], []
    for index, (draft, line_id) in enumerate(zip(drafts, line_ids, strict=True)):
        try:
            lines.append(_rated_line(draft, draft.id or line_id, currency, workflow, quantities))
        except InvalidInput as error:
            problems.append(Problem(error.code, error.message, f"/lines/{index}{error.path}"))
    if problems:
        raise InvalidInput(problems[0].code, problems[0].message, problems[0].path, problems=problems)
    return _all_taxed(lines, workflow, currency)


def _rated_line(
    draft: LineDraft, line_id: str, currency: str, workflow: WorkflowConfig, quantities: Mapping[str, Decimal]
) -> Line:
    refuse_progressive_billing(draft.pre_line_period_quantity)
    metered = _metered_quantity(draft, line_id, quantities)
    quantity = charged_quantity(metered, draft.discounts)
    terms = Terms(line_id, draft.name, currency, workflow.rounding)
    charges = rated_charges(draft.price, quantity, terms, draft.discounts)
    plain = is_plain(draft.price)
    own_discounts = tuple(discount for charge in charges for discount in charge.discounts) if plain else ()
    _refuse_inexact(draft.taxes, currency)
    return Line(
        id=line_id,
        name=draft.name,
        description=draft.description,
        item_code=draft.item_code,
        feature_key=draft.feature_key,
        period=draft.period,
        invoice_at=draft.invoice_at,
        quantity=quantity,
        metered_quantity=None if metered == quantity else metered,
        metered=draft.quantity is None and not isinstance(draft.price, FlatPrice),
        price=draft.price,
        tax_config=draft.tax_config,
        agreed_discounts=draft.discounts,
        discounts=_usage_discounts(draft, line_id, metered) + own_discounts,
        detailed_lines=() if plain else tuple(detailed_line(charge) for charge in charges),
        taxes=draft.taxes,
        taxes_stated=bool(draft.taxes),
        totals=summed(charge.totals for charge in charges),
        metadata=draft.metadata,
        managed_by=draft.managed_by,
    )


def _metered_quantity(draft: LineDraft, line_id: str, quantities: Mapping[str, Decimal]) -> Decimal:
    if draft.quantity is not None:
        return draft.quantity
    if isinstance(draft.price, FlatPrice):
        return ONE
    if line_id in quantities:
        return amount(quantities[line_id])
    raise InvalidInput(
        "quantity_missing",
        f"The line {draft.name!r} has no quantity and no usage was found for it. State a quantity or a metered feature.",
        "/quantity",
    )


def _usage_discounts(draft: LineDraft, line_id: str, metered: Decimal) -> tuple[AppliedDiscount, ...]:
    applied: list[AppliedDiscount] = []
    for index, quantity in free_quantities(metered, draft.discounts):
        discount = draft.discounts[index]
        applied.append(
            AppliedDiscount(
                id=child_ulid(line_id, f"discount/{index}"),
                reason=DiscountReason.USAGE,
                quantity=quantity,
                correlation_id=discount.correlation_id,
                description=discount.description,
            )
        )
    return tuple(applied)


def _refuse_inexact(taxes: Iterable[TaxAmount], currency: str) -> None:
    for index, tax in enumerate(taxes):
        if not is_exact(tax.amount, currency):
            error = InexactAmount(tax.amount, currency)
            raise InvalidInput(error.code, error.message, f"/taxes/{index}/amount")


def _all_taxed(lines: Sequence[Line], workflow: WorkflowConfig, currency: str) -> tuple[Line, ...]:
    taxed = [_taxed(line, line.taxes, currency) if line.taxes_stated else line for line in lines]
    configs = _configs_to_compute(lines, workflow)
    bases = [lines[index].totals.before_taxes for index in configs]
    rows = taxes_on(bases, list(configs.values()), currency, workflow.rounding, workflow.tax_rounding)
    for index, taxes in zip(configs, rows, strict=True):
        taxed[index] = _taxed(lines[index], taxes, currency)
    return tuple(taxed)


def _configs_to_compute(lines: Sequence[Line], workflow: WorkflowConfig) -> dict[int, TaxConfig]:
    """What is to be computed here, by the place of the line."""
    if not workflow.tax_enabled:
        return {}
    configs = {index: tax_config_of(line, workflow) for index, line in enumerate(lines) if not line.taxes_stated}
    return {index: config for index, config in configs.items() if config is not None and config.rates}


def tax_config_of(line: Line, workflow: WorkflowConfig) -> TaxConfig | None:
    """The line's own tax configuration, or the workflow's for lines without one."""
    return line.tax_config or workflow.default_tax_config


def _taxed(line: Line, taxes: tuple[TaxAmount, ...], currency: str) -> Line:
    details = _details_taxed(line.detailed_lines, taxes, currency)
    return line.model_copy(
        update={"taxes": taxes, "totals": _with_taxes(line.totals, taxes), "detailed_lines": details}
    )


def _details_taxed(
    details: tuple[DetailedLine, ...], taxes: tuple[TaxAmount, ...], currency: str
) -> tuple[DetailedLine, ...]:
    if not details:
        return ()
    bases = [detail.totals.before_taxes for detail in details]
    columns = [_tax_shares(tax, bases, currency) for tax in taxes]
    rows = list(zip(*columns, strict=True)) or [()] * len(details)
    return tuple(
        detail.model_copy(update={"taxes": row, "totals": _with_taxes(detail.totals, row)})
        for detail, row in zip(details, rows, strict=True)
    )


def _tax_shares(tax: TaxAmount, bases: Sequence[Decimal], currency: str) -> list[TaxAmount]:
    amounts = _shares(tax.amount, bases, currency)
    taxable_amounts = _shares(tax.taxable_amount, bases, currency)
    return [
        tax.model_copy(update={"amount": share, "taxable_amount": taxable})
        for share, taxable in zip(amounts, taxable_amounts, strict=True)
    ]


def _shares(total: Decimal, bases: Sequence[Decimal], currency: str) -> Sequence[Decimal]:
    whole = total_of(bases)
    if not whole:
        return [total, *[ZERO] * (len(bases) - 1)]
    return settle([EXACT.divide(EXACT.multiply(total, base), whole) for base in bases], total, currency)


def _with_taxes(totals: Totals, taxes: Sequence[TaxAmount]) -> Totals:
    inclusive = total_of(tax.amount for tax in taxes if tax.behavior is TaxBehavior.INCLUSIVE)
    exclusive = total_of(tax.amount for tax in taxes if tax.behavior is TaxBehavior.EXCLUSIVE)
    return totals.model_copy(update={"taxes_inclusive_total": inclusive, "taxes_exclusive_total": exclusive})


def summed(parts: Iterable[Totals]) -> Totals:
    """The totals of the whole. Raises InvalidInput where a sum is beyond any amount we carry."""
    parts = tuple(parts)
    if len(parts) == 1:
        return parts[0]
    return Totals(
        amount=amount(total_of(part.amount for part in parts)),
        charges_total=amount(total_of(part.charges_total for part in parts)),
        discounts_total=amount(total_of(part.discounts_total for part in parts)),
        credits_total=amount(total_of(part.credits_total for part in parts)),
        taxes_inclusive_total=amount(total_of(part.taxes_inclusive_total for part in parts)),
        taxes_exclusive_total=amount(total_of(part.taxes_exclusive_total for part in parts)),
    )


def metered_quantity_of(line: Line) -> Decimal:
    """The quantity before usage discounts."""
    return line.quantity if line.metered_quantity is None else line.metered_quantity


def as_draft(line: Line) -> LineDraft:
    """The line as it could be asked for again."""
    return LineDraft(
        id=line.id,
        name=line.name,
        description=line.description,
        item_code=line.item_code,
        feature_key=line.feature_key,
        period=line.period,
        invoice_at=line.invoice_at,
        quantity=None if line.metered else metered_quantity_of(line),
        price=line.price,
        tax_config=line.tax_config,
        taxes=line.taxes if line.taxes_stated else (),
        discounts=line.agreed_discounts,
        metadata=line.metadata,
        managed_by=line.managed_by,
    )

"""From OpenMeter's invoice to the draft of the same invoice here, with every amount as OpenMeter computed it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter, ValidationError

from billhook.domain.base import METADATA_ENTRIES, Email
from billhook.domain.money import is_exact
from billhook.domain.party import CustomerSnapshot
from billhook.domain.workflow import WorkflowConfig
from billhook_openmeter import wire

KEY_PREFIX = "openmeter:"
DIGEST = "openmeter.digest"
"""The metadata that tell what upstream content a revision here was made from."""
KNOWN_AS = "known_as"
"""The metadata of a customer that providers show to tell him from others of his name; his key here is OpenMeter's long id."""
SHORT_ID = 6
DRAFT_NUMBER = "DRAFT-"
MARKS_OF_PAUSES = "openmeter.io/custominvoicing/"
"""Metadata that OpenMeter writes on an invoice when a pause has ended."""
LONGEST_VALUE = 1024
LONGEST_TAX_ID = 32
MOST_SUBJECTS = 1000
_GIVEN_ON_THE_WAY = frozenset({"number", "due_at"})
_EMAIL: TypeAdapter[str] = TypeAdapter(Email)
ONE, ZERO = Decimal(1), Decimal(0)

Json = dict[str, Any]


class NotMirrored(ValueError):
    """The invoice can't be had here as it is upstream."""


def key_of(upstream_id: str) -> str:
    """The key under which the invoice is submitted here."""
    return f"{KEY_PREFIX}{upstream_id}"


def credit_key_of(upstream_id: str) -> str:
    """The key of the credit note here that settles an invoice which ended upstream after it was paid."""
    return f"{key_of(upstream_id)}:credit"


def upstream_id_of(key: str | None) -> str | None:
    """The upstream id of an invoice here; None for one of other origin."""
    return key.removeprefix(KEY_PREFIX) if key is not None and key.startswith(KEY_PREFIX) else None


def has_something_to_invoice(invoice: wire.Invoice) -> bool:
    """Whether a line is left of it, or anything of its total."""
    return bool(invoice.totals.total) or any(line.deleted_at is None for line in invoice.lines)


def draft_of(invoice: wire.Invoice) -> Json:
    """The draft. Raises NotMirrored where its lines do not come to the invoice's own total."""
    if invoice.type != "standard":
        raise NotMirrored(f"it is a {invoice.type}, and only invoices are carried")
    leaves = [(leaf, parent) for parent in invoice.lines for leaf in _leaves(parent)]
    stated = sum((leaf.totals.total for leaf, _ in leaves), ZERO)
    if stated != invoice.totals.total:
        raise NotMirrored(f"its lines come to {stated}, and its total says {invoice.totals.total}")
    if not leaves:
        raise NotMirrored("it has no line")
    _refuse_parts_of_cents(invoice.currency, [leaf.totals for leaf, _ in leaves])
    draft = _without_none(
        {
            "key": key_of(invoice.id),
            "customer_key": _known(invoice.customer.id, "its customer has no id"),
            "currency": invoice.currency,
            "description": invoice.description,
            "metadata": _kept(invoice.metadata),
            "supplier": party(invoice.supplier) if invoice.supplier.name else None,
            "period": _period(invoice.period),
            "workflow": _workflow(invoice),
            "number": None if invoice.number.startswith(DRAFT_NUMBER) else invoice.number,
            "due_at": _moment(invoice.due_at),
            "lines": [_line(leaf, parent) for leaf, parent in leaves],
        }
    )
    draft["metadata"][DIGEST] = _digest(draft, invoice.customer)
    # What it comes to follows from its lines, so it is no content of its own: it is what they have to come to here too.
    return {**draft, "expected_totals": {"total": _plain(invoice.totals.total)}}


def edit_of(draft: Mapping[str, Any], customer: CustomerSnapshot, workflow: WorkflowConfig) -> Json:
    """The edit that brings what changed upstream to the invoice here, made out to that customer; ``workflow`` is the invoice's own."""
    stated = {
        name: draft.get(name) for name in ("lines", "expected_totals", "metadata", "description", "period", "supplier")
    }
    changed = WorkflowConfig.model_validate({**dict(workflow), **draft["workflow"]})
    return {**stated, "customer": customer, "workflow": changed}


def _digest(draft: Mapping[str, Any], customer: wire.Party) -> str:
    # The number and the dates are no content: upstream gives them on the way, and they are brought when it is issued.
    content = {name: value for name, value in draft.items() if name not in _GIVEN_ON_THE_WAY}
    told = json.dumps({**content, "customer": party(customer)}, sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()


def _kept(metadata: Mapping[str, str]) -> Json:
    """What OpenMeter's users wrote there, as much of it as has room; the marks of its own pauses are none of it."""
    own = {name: text for name, text in metadata.items() if not name.startswith(MARKS_OF_PAUSES)}
    return {name: own[name][:LONGEST_VALUE] for name in sorted(own)[: METADATA_ENTRIES - 1]}


def party(party: wire.Party) -> Json:
    """The party as it is stated here. What can't be kept of it is left out."""
    tax_id = party.tax_id.code if party.tax_id else None
    return _without_none(
        {
            "key": party.key,
            "name": party.name,
            "tax_id": tax_id if tax_id is None or len(tax_id) <= LONGEST_TAX_ID else None,
            "addresses": [address_of(address) for address in party.addresses[:1]],
        }
    )


def address_of(address: wire.Address) -> Json:
    """The address as it is stated here; a country by its two letters."""
    country = (address.country or "").upper()
    known = country if len(country) == 2 and country.isalpha() and country.isascii() else None
    return _without_none({**address.model_dump(), "country": known})


def customer_of(stated: wire.Party, known: wire.Customer | None) -> Json:
    """What is known of a customer, as he is now where OpenMeter tells, and otherwise as his invoice shows him."""
    shown = {name: value for name, value in party(stated).items() if name != "key"}  # theirs; ours is their id
    wanted = {**shown, "subject_keys": stated.usage_attribution.subject_keys[:MOST_SUBJECTS]}
    known_as = {KNOWN_AS: told} if (told := stated.key or (stated.id or "")[-SHORT_ID:]) else {}
    wanted["metadata"] = known_as
    if known is None:
        return wanted
    wanted |= _without_none({"name": known.name, "currency": known.currency})
    if known.billing_address is not None:
        wanted["addresses"] = [address_of(known.billing_address)]
    return {**wanted, "email": _email(known.primary_email), "metadata": known_as | _kept(known.metadata)}


def _email(told: str | None) -> str | None:
    """The address, where it is one."""
    try:
        return _EMAIL.validate_python((told or "").strip())
    except ValidationError:
        return None


def _refuse_parts_of_cents(currency: str, totals: Sequence[wire.Totals]) -> None:
    # Rounded here they would come to another total than upstream.
    for stated in totals:
        for name, amount in stated:
            if not is_exact(amount, currency):
                raise NotMirrored(f"a line's {name} is {amount}, which is no amount of {currency}")


def _leaves(line: wire.Line) -> Iterator[wire.Line]:
    """What a line is made of: its detailed lines, which carry the amounts, or the line itself."""
    if line.deleted_at is not None:
        return
    children = [child for child in line.children if child.deleted_at is None]
    yield from children or (line,)


def _workflow(invoice: wire.Invoice) -> Json:
    # Nothing goes on by itself here: upstream approves. Its taxes are stated on the lines, so none is computed.
    method = invoice.workflow.workflow.payment.collection_method
    return _without_none(
        {"auto_advance": False, "draft_period": "P0D", "tax_enabled": False, "collection_method": method}
    )


def _line(leaf: wire.Line, parent: wire.Line) -> Json:
    gross = leaf.totals.amount + leaf.totals.charges_total
    return _without_none(
        {
            "id": leaf.id,
            "name": leaf.name,
            "description": leaf.description or parent.description,
            "feature_key": _feature(parent),
            "period": _period(leaf.period or parent.period),
            **_priced(leaf, gross),
            "discounts": _discounts(leaf, gross),
            "taxes": list(_taxes(leaf)),
            "tax_config": _tax_config(leaf, parent),
            "metadata": {**parent.metadata, **leaf.metadata},
        }
    )


def _feature(parent: wire.Line) -> str | None:
    return parent.feature_key or (parent.rate_card.feature_key if parent.rate_card else None)


def _priced(leaf: wire.Line, gross: Decimal) -> Json:
    """Quantity times price where that is the amount to the last digit; otherwise the amount itself."""
    quantity, unit_amount = _quantity(leaf), _unit_amount(leaf)
    if quantity is None or unit_amount is None or quantity == ONE or quantity * unit_amount != gross:
        return {"price": {"type": "flat", "amount": _plain(gross)}}
    return {"quantity": _plain(quantity), "price": {"type": "unit", "amount": _plain(unit_amount)}}


def _quantity(leaf: wire.Line) -> Decimal | None:
    stated = leaf.rate_card.quantity if leaf.rate_card else None
    return stated if leaf.quantity is None else leaf.quantity


def _unit_amount(leaf: wire.Line) -> Decimal | None:
    if leaf.per_unit_amount is not None:
        return leaf.per_unit_amount
    price = leaf.price or (leaf.rate_card.price if leaf.rate_card else None) or {}
    return Decimal(price["amount"]) if price.get("type") in ("flat", "unit") else None


def _discounts(leaf: wire.Line, gross: Decimal) -> list[Json]:
    """What came off, each by its upstream id; what upstream does not name, and credits, as amounts of their own."""
    named = [discount for discount in leaf.discounts.amount if discount.deleted_at is None]
    rows = [_discount(discount.amount, discount.description, discount.id) for discount in named]
    unnamed = leaf.totals.discounts_total - sum((discount.amount for discount in named), ZERO)
    if unnamed < 0 or leaf.totals.credits_total < 0:
        raise NotMirrored(f"the discounts of line {leaf.id} come to more than its totals say")
    if leaf.totals.discounts_total + leaf.totals.credits_total > max(gross, ZERO):
        raise NotMirrored(f"more is taken off line {leaf.id} than it comes to")
    rows += [_discount(unnamed, "Discount")] if unnamed else []
    return rows + ([_discount(leaf.totals.credits_total, "Credits")] if leaf.totals.credits_total else [])


def _discount(amount: Decimal, description: str | None, id: str | None = None) -> Json:
    return _without_none({"type": "amount", "amount": _plain(amount), "description": description, "correlation_id": id})


def _taxes(leaf: wire.Line) -> Iterator[Json]:
    totals = leaf.totals
    net = totals.amount + totals.charges_total - totals.discounts_total - totals.credits_total
    taxable = net - totals.taxes_inclusive_total
    for behavior, amount in (("inclusive", totals.taxes_inclusive_total), ("exclusive", totals.taxes_exclusive_total)):
        stated = [item for item in leaf.taxes if item.behavior == behavior and item.percent is not None]
        if amount or stated:
            percentage = sum(((item.percent or ZERO) + (item.surcharge or ZERO) for item in stated), ZERO)
            yield {
                "name": "Tax",
                "percentage": _plain(percentage if stated else _percentage(amount, taxable)),
                "behavior": behavior,
                "taxable_amount": _plain(taxable),
                "amount": _plain(amount),
            }


def _percentage(amount: Decimal, taxable: Decimal) -> Decimal:
    """What the amount is of what it was taken on, where upstream does not say."""
    return round(amount * 100 / taxable, 2) if taxable else ZERO


def _tax_config(leaf: wire.Line, parent: wire.Line) -> Json | None:
    stated = (leaf.tax_config, parent.tax_config, parent.rate_card.tax_config if parent.rate_card else None)
    config = next((config for config in stated if config is not None), None)
    if config is None:
        return None
    code = config.custom_invoicing.code if config.custom_invoicing else None  # Stripe's mean nothing elsewhere
    return _without_none({"behavior": config.behavior, "code": code}) or None


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _period(period: wire.Period | None) -> Json | None:
    if period is None or period.end <= period.start:
        return None
    return {"start": period.start.isoformat(), "end": period.end.isoformat()}


def _known(value: str | None, otherwise: str) -> str:
    if value is None:
        raise NotMirrored(otherwise)
    return value


def _plain(amount: Decimal) -> str:
    return format(amount, "f")


def _without_none(values: Json) -> Json:
    return {name: value for name, value in values.items() if value is not None}

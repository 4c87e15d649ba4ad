"""The way out, for whoever calls over HTTP: messages name commands of ``billhook``, and each has a call that does the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

OWN_PATHS = "/api/billhook/v1"
_PLACEHOLDERS = {"invoices": "INVOICE", "credit-notes": "CREDIT_NOTE"}

Said = Callable[[re.Match[str]], str]


def _workflow_value(found: re.Match[str]) -> str:
    value = found["value"] if found["value"] in {"true", "false"} else f'"{found["value"]}"'
    return f'PATCH {OWN_PATHS}/invoices/{found["invoice"]} with {{"workflow": {{"{found["name"]}": {value}}}}}'


_WAYS: Sequence[tuple[re.Pattern[str], str | Said]] = tuple(
    (re.compile(rf"`?billhook {command}`?"), call)
    for command, call in (
        (
            r"profiles create NAME --supplier SELLER --app APP_ID --default",
            'POST /api/v1/billing/profiles with "default": true',
        ),
        (r"apps connect (\w+)", rf'POST {OWN_PATHS}/connections with "app_id": "\1"'),
        (r"apps credentials (\w+)(?: --credential \S+)*", rf"PUT {OWN_PATHS}/apps/\1/credentials"),
        (r"apps check (\w+)", rf"POST {OWN_PATHS}/apps/\1/check"),
        (r"apps enable (\w+)", rf'PATCH {OWN_PATHS}/apps/\1 with {{"enabled": true}}'),
        (
            r"apps update (\w+) --set (\w+)=(\w+)",
            rf'PATCH {OWN_PATHS}/apps/\1 with all of its "settings", and in them "\2": \3',
        ),
        (r"apps install (\w+)", rf'POST {OWN_PATHS}/apps with "type": "\1"'),
        (r"invoices show (\w+)", rf"GET {OWN_PATHS}/invoices/\1"),
        (r"invoices doubts", f"GET {OWN_PATHS}/doubts"),
        (r"invoices resolve (\w+)", rf"POST {OWN_PATHS}/doubts/\1/resolve"),
        (
            r"invoices dismiss (\w+) (\w+) --reason WHY",
            rf'POST {OWN_PATHS}/invoices/\1/validation-issues/\2/dismiss with a "reason"',
        ),
        (r"invoices look (\w+)", f"POST {OWN_PATHS}/invoices/\\1/look"),
        (r"invoices retry (\w+)", r"POST /api/v1/billing/invoices/\1/retry"),
        (r"invoices void (\w+)", r"POST /api/v1/billing/invoices/\1/void"),
        (r"invoices pay (\w+) AMOUNT", rf"POST {OWN_PATHS}/invoices/\1/payments"),
        (
            r"invoices take-back (\w+) (\w+) --reason WHY",
            rf'POST {OWN_PATHS}/invoices/\1/payments/\2/take-back with a "reason"',
        ),
        (
            r"invoices take-back-refund REFUND --reason WHY",
            rf'POST {OWN_PATHS}/refunds/REFUND/take-back with a "reason"',
        ),
        (
            r"invoices refund (\w+) AMOUNT --paid-elsewhere",
            rf'POST {OWN_PATHS}/refunds with "payment_id": "\1", an "amount" and "paid_elsewhere": true',
        ),
        (r"invoices refund (\w+) AMOUNT", rf'POST {OWN_PATHS}/refunds with "payment_id": "\1" and an "amount"'),
        (r"invoices cancel-payment (\w+)", rf"POST {OWN_PATHS}/invoices/\1/payment/cancel"),
        (r"invoices update (?P<invoice>\w+) --workflow (?P<name>\w+)=(?P<value>\w+)", _workflow_value),
        (r"invoices update (\w+) --file EDIT\.json", rf"PATCH {OWN_PATHS}/invoices/\1"),
        (r"credit-notes create FILE, with its external_id", f'POST {OWN_PATHS}/credit-notes with its "external_id"'),
        (r"credit-notes allocate (\w+)", rf"POST {OWN_PATHS}/credit-notes/\1/allocate"),
        (r"credit-notes show (\w+)", rf"GET {OWN_PATHS}/credit-notes/\1"),
        (r"credit-notes void (\w+)", rf"POST {OWN_PATHS}/credit-notes/\1/void"),
        (
            r"customers link (\w+) (\w+) --external-id (\w+)",
            rf'PUT {OWN_PATHS}/customers/\1/apps/\2 with "external_id": "\3"',
        ),
        (r"numbers define", f"PUT {OWN_PATHS}/numbers/SERIES"),
    )
)
"""What each command is over HTTP."""


def over_http(message: str, document_id: str | None = None) -> str:
    """The message, with calls where it names commands, and with that document where a call is about the one that is told of."""
    for command, call in _WAYS:
        message = command.sub(call, message)
    message = message.replace("or check the namespace.", "or use a token of the namespace that has it.")
    for kind, placeholder in _PLACEHOLDERS.items():
        message = message.replace(f"/{kind}/{placeholder}", f"/{kind}/{document_id or placeholder}")
    return message

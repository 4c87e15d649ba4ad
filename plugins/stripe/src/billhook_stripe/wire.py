"""Stripe's own SDK as encoder: it writes the exact request that it would send, and it is caught before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from billhook.errors import ContractViolation
from billhook_stripe.settings import StripeSettings

STRIPE_VERSION = "2026-10-28.endive"
"""The API version that every request names, so that an upgrade of the SDK or of the account changes nothing by itself."""

_NOT_SENT = "sk_never_sent"
_KEPT_HEADERS = frozenset({"content-type", "stripe-version", "stripe-account"})


@dataclass(frozen=True, slots=True)
class Encoded:
    """A request as the SDK wrote it, without credentials and without key."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class _Caught(Exception):
    """The request was written; nothing goes out."""

    def __init__(self, encoded: Encoded) -> None:
        super().__init__()
        self.encoded = encoded


def encoded(settings: StripeSettings, method: str, path: str, params: Mapping[str, Any]) -> Encoded:
    """The request for these parameters. Decimals are written digit for digit; None leaves a parameter out."""
    import stripe

    client = stripe.StripeClient(
        _NOT_SENT,
        stripe_version=STRIPE_VERSION,
        stripe_account=settings.account,
        base_addresses={"api": settings.base_url},
        max_network_retries=0,
        http_client=_catcher(),
    )
    given = {name: _in_digits(value) for name, value in params.items() if value is not None}
    try:
        client.raw_request(method.lower(), path, **given)
    except _Caught as caught:
        return caught.encoded
    raise ContractViolation("The stripe package answered without asking its HTTP client. Install stripe>=16.1,<17.")


def _in_digits(value: Any) -> Any:
    """Decimals as plain digits: the SDK would write a small one with an exponent, 1E-12."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return {name: _in_digits(each) for name, each in value.items()}
    return [_in_digits(each) for each in value] if isinstance(value, list | tuple) else value


@cache
def _catcher() -> Any:
    import stripe

    class Catcher(stripe.HTTPClient):
        """Takes requests and sends none. It holds nothing, so all encoders share one."""

        name = "caught"

        def request(
            self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None, **_: Any
        ) -> Any:
            kept = tuple((name, value) for name, value in (headers or {}).items() if name.lower() in _KEPT_HEADERS)
            raise _Caught(Encoded(method.upper(), url, kept, (post_data or "").encode()))

    return Catcher()

"""How something is taxed, as callers say it."""

from __future__ import annotations

from typing import Any

from billhook.domain.base import Code
from billhook.domain.tax import TaxBehavior
from billhook.errors import InvalidInput
from billhook.server.v1.wire import WireModel


class TaxCodeInput(WireModel):
    """A tax code, as the provider calls it."""

    code: Code


class TaxConfigInput(WireModel):
    """A tax configuration. At most one code may be given."""

    behavior: TaxBehavior | None = None
    stripe: TaxCodeInput | None = None
    custom_invoicing: TaxCodeInput | None = None
    tax_code_id: str | None = None

    def values(self, path: str) -> dict[str, Any]:
        """What is stated of a tax configuration. Raises InvalidInput for what means nothing here."""
        if self.tax_code_id is not None:
            raise InvalidInput(
                "tax_code_id_unknown",
                "There are no tax codes with ids here. Give the provider's code under customInvoicing.",
                f"{path}/taxCodeId",
            )
        codes = {given.code for given in (self.stripe, self.custom_invoicing) if given is not None}
        if len(codes) > 1:
            raise InvalidInput("tax_code_ambiguous", "Two tax codes are given. Give one of them.", path)
        return {"behavior": self.behavior or TaxBehavior.EXCLUSIVE, "code": codes.pop() if codes else None}

"""The bank account that money is to arrive on, and how the customer is told so."""

from __future__ import annotations

from string import Formatter
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from billhook_manual.accounts import checked_bic, checked_iban

FIELDS = frozenset(
    {
        *("number", "amount", "currency", "due_date", "reference"),
        *("account_holder", "account", "bic", "bank_name"),
    }
)

DEFAULT_INSTRUCTIONS = """\
Please pay {amount} {currency} by bank transfer, due {due_date}.
To: {account_holder}
Account: {account}
Bank: {bank_name}
Reference: {reference} (invoice {number})"""


def _checked_template(template: str) -> str:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"is no template: {error}. Write a brace that is meant as one twice") from None
    for _, name, format_spec, conversion in parts:
        if name is not None and (name not in FIELDS or format_spec or conversion):
            raise ValueError(f"has the place {{{name}}}, which nobody fills. Known places: {', '.join(sorted(FIELDS))}")
    return template


Text = Annotated[str, Field(min_length=1, max_length=256)]


class ManualSettings(BaseModel):
    """The account: an IBAN, or the number that its country uses instead. With `currencies`, the account takes no others.

    The template of the instructions may use {number}, {amount}, {currency}, {due_date}, {reference}, {account_holder}, {account},
    {bic} and {bank_name}.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    account_holder: Text = Field(description="Whose account it is.", examples=["Acme Ltd"])
    iban: Annotated[str, AfterValidator(checked_iban)] | None = Field(
        None, description="The account's IBAN, where it has one."
    )
    account_number: Text | None = Field(None, description="The account's number, where its country uses no IBAN.")
    bic: Annotated[str, AfterValidator(checked_bic)] | None = Field(None, description="The bank's BIC.")
    bank_name: Text = Field(description="The bank that keeps it.", examples=["First Bank"])
    currencies: tuple[Annotated[str, Field(pattern=r"^[A-Z]{3}$")], ...] = Field(
        (), description="The currencies that the account takes; any where none is named."
    )
    instructions: Annotated[
        str,
        Field(min_length=1, max_length=4096, description="What the customer is told, with places in braces."),
        AfterValidator(_checked_template),
    ] = DEFAULT_INSTRUCTIONS

    @model_validator(mode="after")
    def _names_one_account(self) -> Self:
        if (self.iban is None) == (self.account_number is None):
            raise ValueError("needs one account: state iban or account_number, not both")
        return self

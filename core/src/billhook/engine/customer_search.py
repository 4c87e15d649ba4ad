"""Finding customers by what they are called, the same on every store: case does not matter where a part is looked for."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from billhook.engine.arguments import checked
from billhook.engine.records import Customer
from billhook.store import schema
from billhook.store.statements import Insert
from billhook.store.transaction import Transaction

_customer, _word = schema.customer, schema.customer_word
# Under names of their own, so that they stand in a question beside the same tables.
_override, _profile = schema.customer_override.alias("pinning"), schema.profile.alias("default_profile")

_INSERT = Insert(_word, ("customer_id", "field", "place", "word", "folded"))


class CustomerField(StrEnum):
    """Where to look."""

    NAME = "name"
    KEY = "key"
    EMAIL = "email"
    SUBJECT_KEY = "subject_key"


class Match(StrEnum):
    """How a word has to stand to the one that is looked for. All but CONTAINS tell upper case from lower case."""

    EQUALS = "equals"
    CONTAINS = "contains"
    BEFORE = "before"
    UP_TO = "up_to"
    AFTER = "after"
    FROM = "from"


@checked
@dataclass(frozen=True, slots=True)
class CustomerMatch:
    """A customer that has such a word there; ``negated``, one that has none. Without ``words`` any word will do."""

    field: CustomerField
    match: Match = Match.EQUALS
    words: tuple[str, ...] = ()
    negated: bool = False


@checked
@dataclass(frozen=True, slots=True)
class CustomerFilter:
    """Which customers: all the matches at once. An empty tuple of ids asks for nothing in particular.

    ``profile_ids`` are the profiles that serve the customer, by its override or as the default.
    """

    matches: tuple[CustomerMatch, ...] = ()
    ids: tuple[str, ...] = ()
    profile_ids: tuple[str, ...] = ()
    not_profile_ids: tuple[str, ...] = ()
    include_deleted: bool = False


class CustomerOrder(StrEnum):
    """By what customers are sorted; those that are alike come by id."""

    ID = "id"
    NAME = "name"
    KEY = "key"
    EMAIL = "email"
    CREATED_AT = "created_at"


EVERYBODY = CustomerFilter()


def conditions(namespace: str, wanted: CustomerFilter) -> Iterator[sa.ColumnElement[bool]]:
    """What a row of the customer table has to fulfil."""
    yield _customer.c.namespace == namespace
    if not wanted.include_deleted:
        yield _customer.c.deleted_at.is_(None)
    if wanted.ids:
        yield _customer.c.id.in_(wanted.ids)
    if wanted.profile_ids:
        yield _serving(namespace).in_(wanted.profile_ids)
    if wanted.not_profile_ids:
        yield sa.func.coalesce(_serving(namespace), "").not_in(wanted.not_profile_ids)
    yield from map(_matching, wanted.matches)


def ordering(order: CustomerOrder, *, descending: bool = False) -> tuple[sa.ColumnElement[Any], ...]:
    """What to sort by. A customer without the value comes first."""
    by = _ORDERS[order]
    return (by.desc(), _customer.c.id.desc()) if descending else (by.asc(), _customer.c.id.asc())


def remember_words(tx: Transaction, customer: Customer) -> None:
    """Let the customer be found by its present words, and by no others."""
    forget_words(tx, customer.id)
    words = _words(customer)
    tx.insert_many(_INSERT, [(customer.id, field.value, place, word, folded(word)) for field, place, word in words])


def forget_words(tx: Transaction, customer_id: str) -> None:
    """Let the customer be found by its id alone."""
    tx.execute(sa.delete(_word).where(_word.c.customer_id == customer_id))


def folded(word: str) -> str:
    """The word without case, so that every store compares it alike."""
    return unicodedata.normalize("NFC", word).casefold()


def _words(customer: Customer) -> Iterator[tuple[CustomerField, int, str]]:
    party = customer.party
    for field, word in (
        (CustomerField.NAME, party.name),
        (CustomerField.KEY, party.key),
        (CustomerField.EMAIL, party.email),
    ):
        if word:
            yield field, 0, word
    for place, subject in enumerate(party.subject_keys):
        yield CustomerField.SUBJECT_KEY, place, subject


def _matching(wanted: CustomerMatch) -> sa.ColumnElement[bool]:
    there = sa.exists().where(_word.c.customer_id == _customer.c.id, _word.c.field == wanted.field.value)
    if wanted.words:
        there = there.where(sa.or_(*(_COMPARISONS[wanted.match](word) for word in wanted.words)))
    return sa.not_(there) if wanted.negated else there


def _serving(namespace: str) -> sa.ColumnElement[Any]:
    pinned = sa.select(_override.c.profile_id).where(_override.c.customer_id == _customer.c.id).scalar_subquery()
    default = sa.select(_profile.c.id).where(
        _profile.c.namespace == namespace, _profile.c.is_default == 1, _profile.c.deleted_at.is_(None)
    )
    return sa.func.coalesce(pinned, default.scalar_subquery())


_COMPARISONS: dict[Match, Callable[[str], sa.ColumnElement[bool]]] = {
    Match.EQUALS: lambda word: _word.c.word == word,
    Match.CONTAINS: lambda word: _word.c.folded.contains(folded(word), autoescape=True),
    Match.BEFORE: lambda word: _word.c.word < word,
    Match.UP_TO: lambda word: _word.c.word <= word,
    Match.AFTER: lambda word: _word.c.word > word,
    Match.FROM: lambda word: _word.c.word >= word,
}

_EMAIL = (
    sa.select(_word.c.word)
    .where(_word.c.customer_id == _customer.c.id, _word.c.field == CustomerField.EMAIL.value)
    .scalar_subquery()
)
_ORDERS: dict[CustomerOrder, sa.ColumnElement[Any]] = {
    CustomerOrder.ID: _customer.c.id,
    CustomerOrder.NAME: _customer.c.name,
    CustomerOrder.KEY: sa.func.coalesce(_customer.c.key, ""),
    CustomerOrder.EMAIL: sa.func.coalesce(_EMAIL, ""),
    CustomerOrder.CREATED_AT: _customer.c.created_at,
}

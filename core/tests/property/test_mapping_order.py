"""The index by item code must choose what reading the rules from the top would choose."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given, strategies as st

from billhook.domain.invoice import Line, Totals
from billhook.domain.mapping import MappingRule, MappingRules, MappingTarget
from billhook.domain.price import FlatPrice

LINE_ID = "01HZX3V5R8Q4ZB1T2N6M7K9PWD"
codes = st.sampled_from(["a", "b", "ab", "a*", "?b", "*"])


class AnInvoice:
    currency = "EUR"
    customer = None


def rule_list(patterns: list[list[str] | None]) -> MappingRules:
    rules = [
        MappingRule(
            name=f"rule {position}",
            when={"item_code": tuple(alternatives)} if alternatives else {},
            then=MappingTarget(account="1"),
        )
        for position, alternatives in enumerate(patterns)
    ]
    return MappingRules(rules=rules)


def by_reading(patterns: list[list[str] | None], item_code: str | None) -> str | None:
    for position, alternatives in enumerate(patterns):
        if alternatives is None:
            return f"rule {position}"
        if item_code is not None and any(fnmatchcase(item_code, pattern) for pattern in alternatives):
            return f"rule {position}"
    return None


@given(
    patterns=st.lists(st.lists(codes, min_size=1, max_size=3) | st.none(), max_size=6),
    item_code=st.none() | st.sampled_from(["a", "b", "ab", "abc"]),
)
def test_the_index_never_changes_which_rule_wins(patterns, item_code):
    line = Line(id=LINE_ID, name="A line", item_code=item_code, price=FlatPrice(amount="1"), totals=Totals())
    mapped = rule_list(patterns).apply(line, AnInvoice())
    assert (mapped and mapped.rule) == by_reading(patterns, item_code)

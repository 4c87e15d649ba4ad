"""The series that numbers come from, over HTTP: seen, changed, and audited."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from server_kit import Served

from billhook.store import schema

PATH = "/api/billhook/v1/numbers"
LINE = {"name": "Work", "quantity": "1", "price": {"type": "unit", "amount": "10.00"}}
DEFAULT = {
    "name": "invoice",
    "template": "INV-{customer_prefix}-{sequence}",
    "scope": "namespace",
    "kind": "gapless",
    "start": 1,
    "reset": "never",
    "timezone": "UTC",
}


def issued(served: Served, key: str) -> str:
    """The id of an invoice that was issued."""
    id = served.ns.invoices.submit({"key": key, "customer_key": "jane", "currency": "EUR", "lines": [LINE]}).id
    served.engine.run_until_idle()
    return id


def test_the_series_are_listed_and_one_is_shown(served):
    listed = served.call("GET", PATH, role="read", expect=200).json()["data"]
    assert [each["name"] for each in listed] == ["credit-note", "draft", "gathering", "invoice"]
    assert served.call("GET", f"{PATH}/invoice", role="read", expect=200).json() == DEFAULT == listed[-1]
    served.problem("GET", f"{PATH}/other", 404)


def test_a_new_template_writes_the_numbers_from_then_on(served):
    issued(served, "a")
    changed = served.call("PUT", f"{PATH}/invoice", json={"template": "R-{sequence:05d}"}, expect=200).json()
    assert changed == {**DEFAULT, "template": "R-{sequence:05d}"}
    second = issued(served, "b")
    assert served.ns.invoices.get(second).invoice.number == "R-00002"
    assert served.call("GET", f"{PATH}/invoice", role="elsewhere").json() == DEFAULT


@pytest.mark.parametrize(
    "body, path",
    [
        ({}, "/template"),
        ({"template": "R"}, "/template"),
        ({"template": "R-{sequence}", "start": 0}, "/start"),
        ({"template": "R-{sequence}", "scope": "world"}, "/scope"),
        ({"template": "R-{sequence}", "name": "other"}, "/name"),
        ({"template": "R-{sequence}", "reset": "yearly"}, ""),
        ({"template": "R-{sequence}", "timezone": "Berlin"}, "/timezone"),
    ],
)
def test_what_is_no_series_is_refused_with_its_place_and_nothing_changes(served, body, path):
    problem = served.problem("PUT", f"{PATH}/invoice", 400, json=body)
    assert problem["extensions"].get("path", "") == path
    assert served.call("GET", f"{PATH}/invoice").json() == DEFAULT


def test_what_would_repeat_numbers_is_refused(served):
    taken = {"template": DEFAULT["template"]}
    assert served.problem("PUT", f"{PATH}/mine", 409, json=taken)["extensions"]["code"] == "number_template_taken"
    issued(served, "a")
    later = {"template": "R-{sequence}", "start": 7}
    assert served.problem("PUT", f"{PATH}/invoice", 409, json=later)["extensions"]["code"] == "number_series_in_use"


def test_only_an_administrator_changes_a_series(served):
    for role in ("read", "integrate"):
        served.problem("PUT", f"{PATH}/invoice", 403, role=role, json={"template": "R-{sequence}"})


def test_an_audit_names_what_is_missing_and_who_has_a_cancelled_number(served):
    ids = [issued(served, key) for key in ("a", "b", "c")]
    served.ns.invoices.void(ids[0])
    taken = schema.taken_number
    removed = sa.delete(taken).where(taken.c.document_id == ids[1])
    served.engine.database.write(lambda tx: tx.execute(removed))
    (counter,) = served.call("GET", f"{PATH}/invoice/audit", role="read", expect=200).json()["data"]
    assert (counter["counter"], counter["whole"]) == ("invoice", False)
    assert (counter["gaps"], counter["duplicates"]) == ([[2, 2]], [])
    (cancelled,) = counter["cancelled"]
    assert (cancelled["sequence"], cancelled["document_id"]) == (1, ids[0])


def test_a_series_that_may_have_gaps_is_not_audited(served):
    issued(served, "a")
    problem = served.problem("GET", f"{PATH}/draft/audit", 400)
    assert problem["extensions"]["code"] == "number_series_of_other_kind"
    assert "Name a gapless one" in problem["detail"]

"""Applications beside each other in one process."""

from __future__ import annotations

from pathlib import Path

from engine_kit import copy_of
from server_kit import serving

from billhook.providers.custom_invoicing import provider as custom_invoicing
from billhook.server import create_app


def test_each_answers_of_its_own_engine(served, shop_on, file_template, tmp_path: Path):
    with serving(shop_on(copy_of(file_template, tmp_path / "other.db"), custom_invoicing)) as other:
        other.call("POST", "/api/v1/customers", json={"name": "Joe", "key": "joe"}, expect=201)
        named = [
            {found["name"] for found in one.call("GET", "/api/v1/customers").json()["items"]} for one in (served, other)
        ]
    assert [("Joe" in names) for names in named] == [False, True]


def test_what_a_route_takes_and_gives_is_worked_out_once_for_all(served):
    one, other = (create_app(served.engine).router.routes for _ in range(2))
    ours = {id(route) for route in one} & {id(route) for route in other}
    assert len(one) - len(ours) == 1  # the document is each one's own

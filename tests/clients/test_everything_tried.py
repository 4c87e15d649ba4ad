"""Whatever a caller may send: every answer is one that our own document has, and none is a fault of the server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
import pytest
import schemathesis
from bodies import taken_bodies
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st
from peopled import Ids, people
from receiving import Receiver
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from server_process import ServerProcess

pytestmark = pytest.mark.clients

EXAMPLES = 12
"""For each operation, of what is valid and of what is not."""
SEED = 20260722
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    ignored_auth,
]
PARAMETERS = {
    "app": "app",
    "app_id": "app",
    "app_type": "type",
    "channel_id": "channel",
    "customer": "customer",
    "customer_id": "customer",
    "event_id": "event",
    "invoice_id": "invoice",
    "invoiceId": "invoice",
    "rule_id": "rule",
    "type": "type",
}
"""Of what a parameter in a path is the id."""
PROPERTIES = {
    "billingProfileId": "profile",
    "channels": "channel",
    "customerId": "customer",
    "invoicing": "app",
    "lineId": "line",
    "payment": "app",
    "tax": "app",
}
"""Of what a text in a body is the id, or a list of texts."""


@pytest.fixture
def ids(server: ServerProcess, token: str, receiver: Receiver) -> Iterator[Ids]:
    headers = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=server.url, headers=headers, trust_env=False, timeout=30) as http:
        yield {**people(http, receiver.url), "type": ["custom_invoicing", "external_invoicing", "sandbox"]}


def test_every_answer_is_one_that_the_document_has(server: ServerProcess, token: str, ids: Ids, receiver: Receiver):
    document = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]
    assert len(operations) > 90
    # What deletes comes last, so that there is something to be tried until then.
    in_order = sorted(operations, key=lambda each: each.method == "delete")
    bodies = taken_bodies(ids, receiver.url)
    assert bodies.keys() <= {name_of(each) for each in operations}
    wrong = [try_out(each, token, ids, bodies.get(name_of(each), {})) for each in in_order]
    assert "\n\n".join(filter(None, wrong)) == ""


def name_of(operation: APIOperation) -> str:
    return f"{operation.method.upper()} {operation.path}"


def try_out(operation: APIOperation, token: str, ids: Ids, taken: Mapping[str, Any]) -> str:
    """What is wrong with the answers of one operation; empty where nothing is."""
    cases = st.one_of([operation.as_strategy(mode) for mode in GenerationMode])

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, data=st.data())
    def every_case(case: Case, data: st.DataObject) -> None:
        about_what_is_there(case, data, ids)
        case.body = nearly_taken(case.body, taken, data)
        case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=CHECKS)

    try:
        every_case()
    except (Failure, FailureGroup) as error:  # each operation is told, not the first alone
        return f"{name_of(operation)}: {error}"
    return ""


def about_what_is_there(case: Case, data: st.DataObject, ids: Ids) -> None:
    """Make most cases be about something that there is, so that more is tried than refusals."""
    if data.draw(st.integers(0, 3)) == 0:
        return
    if isinstance(case.path_parameters, Mapping):
        case.path_parameters = {
            name: _one_of(ids.get(_kind(name, case.path), ()), value, data)
            for name, value in case.path_parameters.items()
        }
    case.body = _with_ids(case.body, "", data, ids)


def nearly_taken(body: Any, taken: Mapping[str, Any], data: st.DataObject) -> Any:
    """Mostly the body that is taken, with one property at most as it was made up."""
    if not taken or data.draw(st.integers(0, 3)) == 0:
        return body
    made_up = body if isinstance(body, dict) else {}
    changed = data.draw(st.sampled_from([None, *made_up]))
    return {**taken, **({changed: made_up[changed]} if changed is not None else {})}


def _kind(parameter: str, path: str) -> str:
    if parameter == "id":
        return "profile" if "/profiles/" in path else "invoice"
    return PARAMETERS.get(parameter, "")


def _one_of(there: Sequence[str], value: Any, data: st.DataObject) -> Any:
    return data.draw(st.sampled_from(there)) if there and isinstance(value, str) else value


def _with_ids(node: Any, name: str, data: st.DataObject, ids: Ids) -> Any:
    if isinstance(node, dict):
        return {key: _with_ids(value, str(key), data, ids) for key, value in node.items()}
    if isinstance(node, list):
        return [_with_ids(each, name, data, ids) for each in node]
    return _one_of(ids.get(PROPERTIES.get(name, ""), ()), node, data)

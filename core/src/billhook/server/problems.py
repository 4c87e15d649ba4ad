"""Errors as answers: ``application/problem+json``, in the shape of whichever form of the API was called."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from billhook import errors
from billhook.domain.parsing import in_words_of_json, pointer
from billhook.errors import BillhookError, InvalidInput, Problem
from billhook.server.paths import methods_taken, route_path
from billhook.server.ways_out import over_http

PROBLEM_JSON = "application/problem+json"
V1_PREFIX = "/api/v1/"
V3_PREFIXES = ("/api/v3/", "/v3/")
_FREE_NAMES = frozenset({"metadata", "custom_headers", "customHeaders"})
"""What stands below these has names of the caller's own."""
MOST_PROBLEMS = 100

STATUSES: Mapping[type[BillhookError], int] = {
    errors.InvalidInput: 400,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Deleted: 412,
    errors.NotAllowed: 400,
    errors.Unsupported: 400,
    errors.ConfigError: 400,
    errors.ProviderLoadError: 404,
    errors.ContractViolation: 500,
    errors.CredentialKeyError: 503,
    errors.WebhookRefused: 401,
    errors.StoreError: 503,
    BillhookError: 500,
}
"""The status of each kind of error; one that is not named here has that of its nearest parent."""

V3_STATUSES: Mapping[type[BillhookError], int] = {**STATUSES, errors.Deleted: 410}
"""The same in the third form of the API."""

# Texts that a schema does not take, by how pydantic calls it and how the third form of the API does.
_RULES: Mapping[str, str] = {
    "missing": "required",
    "extra_forbidden": "unknown_property",
    "string_type": "is_string",
    "bool_type": "is_boolean",
    "bool_parsing": "is_boolean",
    "int_type": "is_integer",
    "int_parsing": "is_integer",
    "list_type": "is_array",
    "tuple_type": "is_array",
    "dict_type": "is_object",
    "model_type": "is_object",
    "model_attributes_type": "is_object",
    "datetime_invalid": "is_date_time",
    "string_pattern_mismatch": "matches_regex",
}
log = logging.getLogger("billhook.server")

_SOURCES = frozenset({"body", "query", "path", "header", "cookie"})


class Refusal(HTTPException):
    """A request is refused before the engine is asked: a status, a stable code and a sentence."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, dict(headers) if headers else None)
        self.code = code


def answer(scope: Scope, error: Exception) -> Response:
    """The answer to whatever was raised."""
    kind = next(kind for kind in type(error).__mro__ if kind in _ANSWERS)
    return _ANSWERS[kind](scope, error)


def status_of(error: BillhookError, statuses: Mapping[type[BillhookError], int] = STATUSES) -> int:
    """The HTTP status of an error of ours."""
    return next(statuses[kind] for kind in type(error).__mro__ if kind in statuses)


def billhook_problem(scope: Scope, error: BillhookError, *, component: str | None = None) -> Response:
    """The answer to an error of ours; ``component`` says which part refuses. What is the server's own fault is told without detail."""
    status = status_of(error, V3_STATUSES if _is_v3(scope) else STATUSES)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return unexpected_problem(scope, error)
    detail, problems = over_http(str(error)), _problems_of(error)
    if _is_v1(scope):
        detail, problems = _in_words_of_v1(detail, problems)
    return problem(scope, status, detail, problems, component=component)


def http_problem(scope: Scope, error: HTTPException) -> Response:
    """The answer to a refusal by the server itself: no such path, no such method, too large."""
    phrase = HTTPStatus(error.status_code).phrase
    code = getattr(error, "code", None) or phrase.lower().replace(" ", "_")
    detail = error.detail if error.detail != phrase else _DETAILS.get(error.status_code, phrase)
    headers = error.headers
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(methods_taken(scope))}
    return problem(scope, error.status_code, detail, [Problem(code, detail)], headers=headers)


def validation_problem(scope: Scope, error: RequestValidationError) -> Response:
    """The answer to a request that is not as the document says. Shows no value that was sent."""
    found = error.errors()[:MOST_PROBLEMS]
    problems = [Problem(each["type"], _said(each), pointer(_place(each["loc"]))) for each in found]
    sources = [str(each["loc"][0]) if each["loc"] else "body" for each in found]
    first = problems[0]
    more = f" ({len(error.errors()) - 1} more)" if len(error.errors()) > 1 else ""
    detail = f"{first.path or 'The ' + sources[0]}: {first.message}{more}"
    return problem(scope, HTTPStatus.BAD_REQUEST, detail, problems, sources=sources)


def key_problem(scope: Scope, error: errors.CredentialKeyError) -> Response:
    """The answer where credentials can't be read: which key is missing is for who runs this server, and stands in the log."""
    log.error("Credentials can't be read.", exc_info=error, extra=_of_request(scope))
    detail = "Credentials that are stored here can't be read for want of a key. Name the request's id to who runs this server."
    return problem(scope, status_of(error), detail, [Problem(error.code, detail)])


def unexpected_problem(scope: Scope, error: Exception) -> Response:
    """The answer where something broke here. The log has the rest, under the same request id: never a header or a body."""
    log.error("A request broke the server.", exc_info=error, extra=_of_request(scope))
    detail = "Something went wrong here. Name the request's id to who runs this server."
    return problem(scope, HTTPStatus.INTERNAL_SERVER_ERROR, detail, ())


def _of_request(scope: Scope) -> dict[str, Any]:
    return {
        "billhook_request_id": request_id_of(scope),
        "billhook_method": scope["method"],
        "billhook_path": route_path(scope),
    }


def problem(
    scope: Scope,
    status: int,
    detail: str,
    problems: Sequence[Problem],
    *,
    sources: Sequence[str] = (),
    headers: Mapping[str, str] | None = None,
    component: str | None = None,
) -> Response:
    """A problem in the shape of the form of the API that was called."""
    request_id = request_id_of(scope)
    content = (
        _shape_v3(status, detail, request_id, problems, sources, scope["method"])
        if _is_v3(scope)
        else _shape_v1(status, detail, request_id, problems)
    )
    if component is not None:
        content.setdefault("extensions", {})["component"] = component
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
    # A charset parameter would hide the problem from clients that compare the type as it stands.
    return Response(body, status, {**(headers or {}), "content-type": PROBLEM_JSON})


def request_id_of(scope: Scope) -> str:
    """What the log calls this request."""
    return str(scope.get("billhook.request_id", "unknown"))


async def on_error(request: Request, error: Exception) -> Response:
    """Exception handler for every kind of error that has an answer of its own."""
    return answer(request.scope, error)


_DETAILS: Mapping[int, str] = {
    404: "There is nothing at this path. The document at /openapi.json lists what is there.",
    405: "This path does not take that method. The header Allow lists what it takes.",
}


def _is_v1(scope: Scope) -> bool:
    return route_path(scope).startswith(V1_PREFIX)


def _in_words_of_v1(detail: str, problems: Sequence[Problem]) -> tuple[str, list[Problem]]:
    """The same with places as the first form of the API names them, which the engine spells otherwise."""
    for before, after in ((each.path, _place_v1(each.path)) for each in problems):
        if before and detail.startswith(f"{before}:"):
            detail = after + detail.removeprefix(before)
    return detail, [Problem(each.code, each.message, _place_v1(each.path)) for each in problems]


def _place_v1(path: str) -> str:
    steps = path.split("/")
    named_by_callers = (step in _FREE_NAMES for step in ["", *steps])
    return "/".join(
        to_camel(step) if "_" in step and not free else step
        for step, free in zip(steps, named_by_callers, strict=False)
    )


def _is_v3(scope: Scope) -> bool:
    return route_path(scope).startswith(V3_PREFIXES)


def _shape_v1(status: int, detail: str, request_id: str, problems: Iterable[Problem]) -> dict[str, Any]:
    shaped: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": f"urn:request:{request_id}",
    }
    issues = [_issue_v1(each) for each in problems]
    if issues:
        shaped["extensions"] = {**issues[0], **({"additionalIssues": issues[1:]} if issues[1:] else {})}
    return shaped


def _issue_v1(each: Problem) -> dict[str, str]:
    issue = {"severity": "critical", "code": each.code, "message": each.message}
    return {**issue, "path": each.path} if each.path else issue


def _shape_v3(
    status: int, detail: str, request_id: str, problems: Iterable[Problem], sources: Sequence[str], method: str
) -> dict[str, Any]:
    listed = list(problems)
    shaped: dict[str, Any] = {
        "status": status,
        "title": HTTPStatus(status).phrase,
        "type": f"https://httpstatuses.com/{status}",
        "instance": f"kong:trace:{request_id}",
        "detail": detail,
    }
    if listed:
        shaped["code"] = listed[0].code
    if status == HTTPStatus.BAD_REQUEST:
        elsewhere = "query" if method == "GET" else "body"
        places = [*sources, *([elsewhere] * (len(listed) - len(sources)))]
        shaped["invalid_parameters"] = _unique(map(_parameter_v3, listed, places))
    return shaped


def _parameter_v3(each: Problem, source: str) -> dict[str, str]:
    return {
        "field": each.path.removeprefix("/").replace("/", "."),
        "rule": _RULES.get(each.code, "invalid"),
        "reason": each.message,
        "source": source,
    }


def _unique(entries: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    return list({tuple(entry.items()): entry for entry in entries}.values())


def _problems_of(error: BillhookError) -> Sequence[Problem]:
    found = error.problems if isinstance(error, InvalidInput) else (Problem(error.code, str(error)),)
    return [Problem(each.code, over_http(each.message), each.path) for each in found]


def _place(location: Sequence[int | str]) -> tuple[int | str, ...]:
    """Where in its part of the request; the part itself is told apart."""
    return tuple(location[1:]) if location and location[0] in _SOURCES else tuple(location)


def _said(found: Mapping[str, Any]) -> str:
    # The one error of its own that FastAPI has; its place is a count of letters.
    return "This is no JSON." if found["type"] == "json_invalid" else in_words_of_json(found["type"], str(found["msg"]))


_ANSWERS: Mapping[type[BaseException], Callable[[Scope, Any], Response]] = {
    errors.CredentialKeyError: key_problem,
    BillhookError: billhook_problem,
    HTTPException: http_problem,
    RequestValidationError: validation_problem,
    Exception: unexpected_problem,
}

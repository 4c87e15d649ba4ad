"""Apps in full: every provider under its own type, with its settings, mapping rules and switches. Credentials go in and never come out."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field, PositiveInt
from starlette.responses import Response

from billhook.engine.records import App
from billhook.server.access import Administering, Reading
from billhook.server.v1.pages import Paging
from billhook.server.v1.wire import UlidPath, nothing, reply
from billhook.server.v3.wire import WireModel, page_v3

router = APIRouter(tags=["Apps in full"])

Json = dict[str, Any]
Name = Annotated[str, Field(min_length=1, max_length=256)]


class Install(WireModel):
    """A provider to be installed. What it takes as settings and credentials: GET providers/{type}."""

    type: Annotated[str, Field(max_length=64)]
    name: Name | None = None
    description: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    settings: Json = Field(default_factory=dict)
    credentials: Json | None = None
    mapping: Json | None = None
    limits: dict[str, PositiveInt] = Field(default_factory=dict)


class Change(WireModel):
    """What is to change. What is left out stays; null removes a description or mapping rules."""

    name: Name | None = None
    description: str | None = None
    labels: dict[str, str] | None = None
    settings: Json | None = None
    mapping: Json | None = None
    limits: dict[str, PositiveInt] | None = None
    enabled: bool | None = None


class Credentials(WireModel):
    """New credentials. Those that are not named stay; those under ``unset`` are taken back."""

    credentials: Json = Field(default_factory=dict)
    unset: list[str] = Field(default_factory=list)


@router.get("/providers", response_model=Json)
def list_providers(billing: Reading) -> Response:
    """Every provider that can be installed here."""
    catalog = billing.engine.catalog
    return reply({"data": [_provider(catalog.describe(name)) for name in catalog.names()]})


@router.get("/providers/{type}", response_model=Json)
def get_provider(billing: Reading, type: str) -> Response:
    """One provider, with the schemas of its settings and credentials."""
    return reply(_provider(billing.engine.catalog.describe(type)))


@router.get("/apps", response_model=Json)
def list_apps(billing: Reading, paging: Paging) -> Response:
    """The installed apps."""
    return reply(page_v3(billing.apps.list(page=paging.page, page_size=paging.page_size), shown))


@router.post("/apps", status_code=201, response_model=Json)
def install(billing: Administering, wanted: Install) -> Response:
    """Install any provider. Without the credentials that it needs it waits, unauthorized."""
    return reply(shown(billing.apps.install(**dict(wanted))), 201)


@router.get("/apps/{app_id}", response_model=Json)
def get_app(billing: Reading, app_id: UlidPath) -> Response:
    """One app, uninstalled ones too."""
    return reply(shown(billing.apps.get(app_id)))


@router.patch("/apps/{app_id}", response_model=Json)
def change_app(billing: Administering, app_id: UlidPath, change: Change) -> Response:
    """Change what is stated."""
    stated = {name: getattr(change, name) for name in change.model_fields_set}
    enabled = stated.pop("enabled", None)
    kept = {name: value for name, value in stated.items() if value is not None or name in {"description", "mapping"}}
    app = billing.apps.update(app_id, **kept)
    if enabled is not None:
        app = billing.apps.enable(app_id) if enabled else billing.apps.disable(app_id)
    return reply(shown(app))


@router.put("/apps/{app_id}/credentials", response_model=Json)
def set_credentials(billing: Administering, app_id: UlidPath, given: Credentials) -> Response:
    """Give the app new credentials. Work that was held for want of them goes on."""
    return reply(shown(billing.apps.set_credentials(app_id, given.credentials, unset=given.unset)))


@router.post("/apps/{app_id}/check", response_model=Json)
def check_connection(billing: Administering, app_id: UlidPath) -> Response:
    """Whether the app's credentials work, and which accounts they reach. Sends a request to the provider."""
    billing.apps.get(app_id)
    result = billing.engine.check_connection(app_id)
    return reply({"accounts": [{"id": account.id, "name": account.name} for account in result.accounts]})


@router.delete("/apps/{app_id}", status_code=204)
def uninstall(billing: Administering, app_id: UlidPath) -> Response:
    """Take the app away with its credentials. Refused (409) while a profile or anything open needs it."""
    billing.apps.uninstall(app_id)
    return nothing()


def shown(app: App) -> Json:
    """An app with everything but its credentials."""
    return app.model_dump(mode="json", exclude={"namespace"}, exclude_none=True)


def _provider(description: Any) -> Json:
    declared = description.declaration.describe() if description.declaration is not None else {}
    problem = {} if description.problem is None else {"problem": description.problem}
    return {"type": description.name, "version": description.version, **problem, **declared}

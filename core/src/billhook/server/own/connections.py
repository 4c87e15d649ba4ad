"""Connecting apps by a person's consent: begin, send the person to the address, hand over what came back, and choose accounts."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from billhook.engine.connecting import Authorization
from billhook.errors import InvalidInput
from billhook.server.access import Administering
from billhook.server.connections import OAuth2Client, connections_of
from billhook.server.own.apps import Json, Name, shown
from billhook.server.v1.wire import reply
from billhook.server.v3.wire import WireModel

router = APIRouter(prefix="/connections", tags=["Apps in full"])


class Begin(WireModel):
    """What to connect: a provider, or an app again. ``credentials`` are those of the OAuth client itself."""

    type: Annotated[str | None, Field(max_length=64)] = None
    app_id: str | None = None
    redirect_uri: Annotated[str, Field(min_length=1, max_length=2048)]
    settings: Json = Field(default_factory=dict)
    credentials: Json = Field(default_factory=dict)


class Returned(WireModel):
    """The query of the address to which the person came back."""

    query: dict[str, str]


class Keep(WireModel):
    """The accounts to be installed, all where none is named."""

    accounts: Annotated[list[str], Field(max_length=1000)] = Field(default_factory=list)
    name: Name | None = None


@router.post("", status_code=201, response_model=dict[str, Any])
def begin(request: Request, billing: Administering, wanted: Begin) -> Response:
    """Ask for access. Send the person to the address in the answer; it is good for half an hour, in this process."""
    return reply(_asked(request, billing, wanted), 201)


@router.post("/{state}/finish", response_model=dict[str, Any])
def finish(request: Request, billing: Administering, state: str, returned: Returned) -> Response:
    """Redeem what the person came back with. The answer lists the accounts that it reaches."""
    accounts = connections_of(request).redeem(billing, state, returned.query)
    return reply({"accounts": [{"id": account.id, "name": account.name} for account in accounts]})


@router.post("/{state}/apps", status_code=201, response_model=dict[str, Any])
def keep(request: Request, billing: Administering, state: str, wanted: Keep) -> Response:
    """An app for each account. An account that has an app already keeps it, connected again."""
    apps = connections_of(request).keep(billing, state, wanted.accounts, wanted.name)
    return reply({"data": [shown(app) for app in apps]}, 201)


def _asked(request: Request, billing: Administering, wanted: Begin) -> Json:
    if (wanted.type is None) == (wanted.app_id is None):
        raise InvalidInput("connection_ambiguous", "Name either a type to install or an app to connect again.", "/type")
    under_way = connections_of(request)
    if wanted.app_id is not None:
        asked: Authorization = under_way.begin_again(billing, wanted.app_id, wanted.redirect_uri, wanted.credentials)
    else:
        client = OAuth2Client(wanted.redirect_uri, wanted.credentials, wanted.settings)
        asked = under_way.begin(billing, str(wanted.type), client)
    return {"url": asked.url, "state": asked.state}

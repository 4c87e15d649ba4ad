"""Installed apps, and what can be installed, in the third form of the API. The types are as in the first, by other names."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field

from billhook.contract.declaration import Declaration
from billhook.engine.records import App
from billhook.plugins.catalog import ProviderCatalog
from billhook.server.installing import methods_here
from billhook.server.v1.app_wire import (
    declaration_of,
    labels_from,
    settings_change,
    shown_description,
    shown_labels,
    shown_type,
)
from billhook.server.v1.catalog_wire import CUSTOM, listed_type, places_of
from billhook.server.v3.wire import LABEL, Labels, WireModel

EXTERNAL = "external_invoicing"
HOOKS = ("enable_draft_sync_hook", "enable_issuing_sync_hook")

Name = Annotated[str, Field(min_length=1, max_length=256)]
Description = Annotated[str | None, Field(max_length=1024)]


class SandboxUpdate(WireModel):
    """Everything that can be said of a sandbox app."""

    type: Literal["sandbox"]
    name: Name
    description: Description = None
    labels: Labels | None = None


class ExternalInvoicingUpdate(WireModel):
    """Everything that can be said of an external invoicing app."""

    type: Literal["external_invoicing"]
    name: Name
    description: Description = None
    labels: Labels | None = None
    enable_draft_sync_hook: bool
    enable_issuing_sync_hook: bool


AppUpdate = Annotated[SandboxUpdate | ExternalInvoicingUpdate, Field(discriminator="type")]


class Install(WireModel):
    """What is to be installed. No billing profile is made of it: that needs a supplier."""

    type: Annotated[str, Field(max_length=64)]
    name: Name
    create_billing_profile: bool
    api_key: Annotated[str | None, Field(min_length=1, max_length=4096)] = None


def type_v3(type: str) -> str:
    """What the third form calls a type of the first."""
    return EXTERNAL if type == CUSTOM else type


def own_type(type: str) -> str:
    """What we call a type of the third form."""
    return CUSTOM if type == EXTERNAL else type


def item_v3(type: str, declaration: Declaration | None) -> dict[str, Any]:
    """A provider. One that is no longer there is known by its type alone."""
    name = declaration.name if declaration else type
    places = places_of(declaration) if declaration else []
    return {
        "type": type_v3(listed_type(type)),
        "name": name,
        "description": declaration.description if declaration else "This provider is not installed here.",
        "capabilities": [
            {
                "type": snake,
                "key": f"{type_v3(type)}_{snake}"[:64].rstrip("_"),
                "name": label,
                "description": f"{label} with {name}.",
            }
            for _, snake, label in places
        ],
        "install_methods": [method.value for method in methods_here(declaration)] if declaration else [],
    }


def app_v3(app: App, catalog: ProviderCatalog) -> dict[str, Any]:
    """An installed app."""
    type = shown_type(app.type)
    hooks = {name: bool(app.settings.get(name, False)) for name in HOOKS} if type == CUSTOM else {}
    labels = {
        name: value for name, value in shown_labels(app).items() if re.fullmatch(LABEL, value) and len(value) < 64
    }
    shown = {
        "id": app.id,
        "type": type_v3(type),
        "name": app.name,
        "description": shown_description(app),
        "labels": labels or None,
        "created_at": app.created_at,
        "updated_at": app.updated_at,
        "deleted_at": app.deleted_at,
        "status": app.status.value,
        "definition": item_v3(app.type, declaration_of(app.type, catalog)),
        **hooks,
    }
    return {name: value for name, value in shown.items() if value is not None}


def changes_of(app: App, update: SandboxUpdate | ExternalInvoicingUpdate) -> dict[str, Any]:
    """What an update means for the app. Raises InvalidInput where it is about an app of another type."""
    changes = {"name": update.name, "description": update.description, "labels": labels_from(update.labels)}
    external = isinstance(update, ExternalInvoicingUpdate)
    hooks = {name: getattr(update, name) for name in HOOKS} if external else {}
    return changes | settings_change(app, update.type, type_v3(shown_type(app.type)), hooks)

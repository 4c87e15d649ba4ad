"""Installed apps in the first form of the API.

It knows three types. The sandbox and custom invoicing appear as themselves; any other provider appears as custom invoicing whose hooks are
off, with its own type in the metadata. Stripe is one of these: the document's Stripe app states parts of a key, which nothing here shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from billhook.contract.declaration import Declaration
from billhook.engine.records import App
from billhook.errors import InvalidInput, ProviderLoadError
from billhook.plugins.catalog import ProviderCatalog
from billhook.server.v1.catalog_wire import CUSTOM, listing_v1
from billhook.server.v1.wire import WireModel

TYPE_KEY = "billhook.type"
"""Where an app that the document has no type for says what it is. Nobody else may set it."""
SHOWN_AS_THEMSELVES = ("sandbox", CUSTOM)
LONGEST_DESCRIPTION = 1024

_HOOKS: Mapping[str, str] = {
    "enableDraftSyncHook": "enable_draft_sync_hook",
    "enableIssuingSyncHook": "enable_issuing_sync_hook",
}

Name = Annotated[str, Field(min_length=1, max_length=256)]
Description = Annotated[str | None, Field(max_length=LONGEST_DESCRIPTION)]
Metadata = dict[str, str] | None


class SandboxUpdate(WireModel):
    """Everything that can be said of a sandbox app."""

    type: Literal["sandbox"]
    name: Name
    description: Description = None
    metadata: Metadata = None


class CustomInvoicingUpdate(WireModel):
    """Everything that can be said of a custom invoicing app."""

    type: Literal["custom_invoicing"]
    name: Name
    description: Description = None
    metadata: Metadata = None
    enable_draft_sync_hook: bool
    enable_issuing_sync_hook: bool


AppUpdate = Annotated[SandboxUpdate | CustomInvoicingUpdate, Field(discriminator="type")]


def app_v1(app: App, catalog: ProviderCatalog) -> dict[str, Any]:
    """An installed app."""
    type = shown_type(app.type)
    hooks = {wire: bool(app.settings.get(name, False)) for wire, name in _HOOKS.items()} if type == CUSTOM else {}
    shown = {
        "id": app.id,
        "type": type,
        "name": app.name,
        "description": shown_description(app),
        "metadata": shown_labels(app) or None,
        "createdAt": app.created_at,
        "updatedAt": app.updated_at,
        "deletedAt": app.deleted_at,
        "status": app.status.value,
        "listing": listing_v1(app.type, declaration_of(app.type, catalog)),
        **hooks,
    }
    return {name: value for name, value in shown.items() if value is not None}


def shown_type(type: str) -> str:
    """The type under which an app appears."""
    return type if type in SHOWN_AS_THEMSELVES else CUSTOM


def shown_description(app: App) -> str | None:
    """As much of the description as the document has room for."""
    return app.description[:LONGEST_DESCRIPTION] if app.description else None


def shown_labels(app: App) -> dict[str, str]:
    """The app's labels, and what it really is where its type does not say."""
    own = {TYPE_KEY: app.type} if app.type not in SHOWN_AS_THEMSELVES else {}
    return {**app.labels, **own}


def labels_from(given: Mapping[str, str] | None) -> dict[str, str]:
    """The labels to keep of what a client sends."""
    return {name: value for name, value in (given or {}).items() if name != TYPE_KEY}


def declaration_of(type: str, catalog: ProviderCatalog) -> Declaration | None:
    """What the provider says of itself; None when it is no longer there."""
    try:
        return catalog.describe(type).declaration
    except ProviderLoadError:
        return None


def changes_of(app: App, update: SandboxUpdate | CustomInvoicingUpdate) -> dict[str, Any]:
    """What an update means for the app. Raises InvalidInput where it is about an app of another type."""
    changes: dict[str, Any] = {
        "name": update.name,
        "description": update.description,
        "labels": labels_from(update.metadata),
    }
    hooks = hooks_of(update) if isinstance(update, CustomInvoicingUpdate) else {}
    return changes | settings_change(app, update.type, shown_type(app.type), hooks)


def hooks_of(update: CustomInvoicingUpdate) -> dict[str, bool]:
    """The two switches as the provider's settings have them."""
    return {name: getattr(update, name) for name in _HOOKS.values()}


def settings_change(app: App, said_type: str, real_type: str, hooks: Mapping[str, bool]) -> dict[str, Any]:
    """The change of settings that switching hooks is. Raises InvalidInput for a wrong type, and for a hook that the app does not have."""
    if said_type != real_type:
        raise InvalidInput("app_type_differs", f"The app {app.id} is of type {real_type}, which can't change.", "/type")
    if app.type == CUSTOM:
        return {"settings": {**app.settings, **hooks}}
    if any(hooks.values()):
        raise InvalidInput(
            "app_without_hooks", f"The app {app.id} is of type {app.type}: it waits for its provider, and has no hooks."
        )
    return {}

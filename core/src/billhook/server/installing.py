"""Installing a provider as OpenMeter's clients do: without credentials, or with one API key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from billhook.contract.declaration import Declaration, InstallMethod
from billhook.engine.namespace import Namespace
from billhook.engine.records import App
from billhook.errors import ConfigError, Unsupported
from billhook.plugins.catalog import ProviderDescription

API_KEY = "api_key"
WITHOUT_SETTINGS = (InstallMethod.NO_CREDENTIALS, InstallMethod.API_KEY)
"""Ways to install that have no place for settings."""
IN_FULL = "POST /api/billhook/v1/apps takes settings and every credential."


def described(billing: Namespace, type: str) -> tuple[ProviderDescription, Declaration]:
    """A provider that can be installed. Raises ProviderLoadError."""
    description = billing.engine.catalog.describe(type)
    declaration = description.declaration or billing.engine.catalog.load(type).declaration
    return description, declaration


def methods_here(declaration: Declaration) -> tuple[InstallMethod, ...]:
    """The ways that the provider declares, but for those that could not give it the settings without which it is not installed."""
    return tuple(
        method
        for method in declaration.install_methods
        if method not in WITHOUT_SETTINGS or not required_settings(declaration)
    )


def required_settings(declaration: Declaration) -> list[str]:
    """The settings that have no default."""
    return [name for name, field in declaration.settings.model_fields.items() if field.is_required()]


def install_without_credentials(billing: Namespace, type: str, name: str | None) -> App:
    """A new app of a provider that needs no credentials. Raises Unsupported for one that does."""
    _, declaration = described(billing, type)
    _require(declaration, InstallMethod.NO_CREDENTIALS)
    return billing.apps.install(type, name=name)


def install_with_api_key(billing: Namespace, type: str, name: str | None, api_key: str) -> App:
    """A new app of a provider that is let in by one key. Raises Unsupported for one that is not."""
    _, declaration = described(billing, type)
    _require(declaration, InstallMethod.API_KEY)
    return billing.apps.install(type, name=name, credentials=_credentials(declaration, api_key))


def _require(declaration: Declaration, method: InstallMethod) -> None:
    if method in methods_here(declaration):
        return
    if method in declaration.install_methods:
        raise Unsupported(f"{declaration.name} needs settings: {', '.join(required_settings(declaration))}. {IN_FULL}")
    methods = ", ".join(declaration.install_methods)
    raise Unsupported(f"{declaration.name} is not installed {method}, but {methods}. {IN_FULL}")


def _credentials(declaration: Declaration, api_key: str) -> Mapping[str, Any]:
    """The key under the name that the provider has for it."""
    fields = declaration.credentials.model_fields if declaration.credentials else {}
    required = [name for name, field in fields.items() if field.is_required() and field.annotation is SecretStr]
    names = [API_KEY] if API_KEY in fields else required
    if len(names) != 1:
        raise ConfigError(f"{declaration.name} takes more than one key. {IN_FULL}")
    return {names[0]: api_key}

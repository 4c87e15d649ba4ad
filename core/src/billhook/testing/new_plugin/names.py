"""What a new plugin is called, in all the forms that its files need."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from importlib.util import find_spec

from billhook.contract.entry_points import PROVIDERS, SIMULATORS
from billhook.errors import Conflict, InvalidInput
from billhook.plugins.discovery import installed

LONGEST = 20
_NAME = re.compile("[a-z][a-z0-9]*(_[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class PluginName:
    """The name of a provider, such as ``acme_books``: what its declaration and its entry points say."""

    name: str

    @property
    def distribution(self) -> str:
        """What is installed: ``billhook-acme-books``."""
        return f"billhook-{self.host}"

    @property
    def package(self) -> str:
        """What is imported: ``billhook_acme_books``."""
        return f"billhook_{self.name}"

    @property
    def host(self) -> str:
        """As a part of an address: ``acme-books``."""
        return self.name.replace("_", "-")

    @property
    def title(self) -> str:
        """For people: ``Acme Books``."""
        return " ".join(part.capitalize() for part in self.name.split("_"))

    @property
    def word(self) -> str:
        """What its classes begin with: ``AcmeBooks``."""
        return self.title.replace(" ", "")


def plugin_name(name: str) -> PluginName:
    """The name in all its forms. Raises InvalidInput for one that can't be a provider's, Conflict for one that is taken here."""
    if len(name) > LONGEST or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise InvalidInput(
            "plugin_name_invalid",
            f"{name!r} can't be the name of a provider. Use up to {LONGEST} lower-case letters and digits, in words parted by "
            "underscores, such as acme or acme_books.",
            "/name",
        )
    _refuse_taken(PluginName(name))
    return PluginName(name)


def _refuse_taken(plugin: PluginName) -> None:
    for group in (PROVIDERS, SIMULATORS):
        for entry in installed(group):
            if entry.name == plugin.name:
                raise Conflict(
                    f"There is a {entry.noun} {plugin.name!r} already, of {entry.owner}. Choose another name.",
                    "plugin_name_taken",
                )
    if find_spec(plugin.package) is not None:
        raise Conflict(f"There is a package {plugin.package} already. Choose another name.", "plugin_name_taken")

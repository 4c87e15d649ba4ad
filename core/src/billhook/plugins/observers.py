"""Engine-wide observers: all of them are told, and none of them can stop anything."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable

import pluggy

from billhook.contract import AppStatusChanged, InvoiceTransitioned, OperationSettled
from billhook.contract.entry_points import HOOKS
from billhook.contract.hooks import PROJECT, ObserverSpec
from billhook.errors import ProviderLoadError
from billhook.plugins.checks import check_observer
from billhook.plugins.discovery import installed, listed, load, only_one

LOGGER = logging.getLogger(__name__)


class Observers:
    """Whoever wants to know what happens, as instances or modules with ``@hookimpl`` functions. Told after commit, in no promised order.

    What an observer raises is logged under its name; the others are told all the same.
    """

    def __init__(self, observers: Iterable[object] = ()) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(ObserverSpec)
        for observer in observers:
            self.register(observer)

    @classmethod
    def from_entry_points(cls, allow: Collection[str], observers: Iterable[object] = ()) -> Observers:
        """The installed observers of these names, and the given ones. No other is imported.

        Raises ProviderLoadError when a name is not installed, installed twice or can't be imported.
        """
        made = cls(observers)
        for name in allow:
            made.register(_load(name), name)
        return made

    def register(self, observer: object, name: str | None = None) -> None:
        """Tell this observer too. Raises ContractViolation when it implements anything but observer hooks."""
        check_observer(observer)
        self._manager.register(observer, self._free(name or _name(observer)))

    def names(self) -> tuple[str, ...]:
        """The names under which observers' faults are logged, in the order of registration."""
        return tuple(name for name, _ in self._manager.list_name_plugin())

    def hear(self, hook: str) -> bool:
        """Whether anybody implements that observer hook."""
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        return bool(caller.get_hookimpls())

    def notify_invoice_transitioned(self, event: InvoiceTransitioned) -> None:
        """Tell everybody that an invoice moved."""
        self._notify("invoice_transitioned", event)

    def notify_operation_settled(self, event: OperationSettled) -> None:
        """Tell everybody that an operation ended for one item."""
        self._notify("operation_settled", event)

    def notify_app_status_changed(self, event: AppStatusChanged) -> None:
        """Tell everybody that an app became ready or unauthorized, or was disabled."""
        self._notify("app_status_changed", event)

    def _notify(self, hook: str, event: object) -> None:
        caller: pluggy.HookCaller = getattr(self._manager.hook, hook)
        for implementation in caller.get_hookimpls():
            try:
                # One by one, because pluggy stops at the first exception.
                implementation.function(*[event][: len(implementation.argnames)])
            except (Exception, SystemExit):
                LOGGER.exception(
                    "The observer %s failed in %s. Nothing else was stopped; fix or remove it.",
                    implementation.plugin_name,
                    hook,
                )

    def _free(self, name: str) -> str:
        taken = self.names()
        if name not in taken:
            return name
        return next(numbered for count in range(2, len(taken) + 2) if (numbered := f"{name} #{count}") not in taken)


def _name(observer: object) -> str:
    return getattr(observer, "__name__", type(observer).__qualname__)


def _load(name: str) -> object:
    everything = installed(HOOKS)
    found = [entry for entry in everything if entry.name == name]
    if not found:
        raise ProviderLoadError(
            f"There is no observer {name!r} (there are: {listed(entry.name for entry in everything)}). "
            "Install the distribution that offers it, or take it from the list."
        )
    return load(only_one(found))

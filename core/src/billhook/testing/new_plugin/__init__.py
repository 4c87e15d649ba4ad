"""A new plugin: the whole distribution of a provider, written from a template that passes the conformance kit as it is."""

from __future__ import annotations

from billhook.testing.new_plugin.names import PluginName, plugin_name
from billhook.testing.new_plugin.writing import NewPlugin, write_plugin

__all__ = ["NewPlugin", "PluginName", "plugin_name", "write_plugin"]

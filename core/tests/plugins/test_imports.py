from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import pytest

from billhook.contract.entry_points import PROVIDERS
from billhook.errors import ContractViolation, ProviderLoadError
from billhook.plugins import ProviderCatalog, check_imports, imports_on_load

SDK = {"acme_sdk.__init__": "import acme_sdk.client", "acme_sdk.client": ""}


def test_an_sdk_imported_at_top_level_is_found(install: Any) -> None:
    install("acme-sdk", modules=SDK)
    install("acme-books", modules={"acme_books": install.provider() + "import acme_sdk"})
    assert imports_on_load("acme_books:provider") == {"acme_sdk"}
    with pytest.raises(ContractViolation, match="Loading acme_books:provider imports acme_sdk"):
        check_imports("acme_books:provider")


def test_an_sdk_imported_by_another_module_of_the_plugin_is_found(install: Any) -> None:
    install("acme-sdk", modules=SDK)
    modules = {
        "acme_books.__init__": "",
        "acme_books.client": "from acme_sdk import client",
        "acme_books.provider": install.provider() + "from acme_books.client import client",
    }
    install("acme-books", modules=modules)
    assert imports_on_load("acme_books.provider:provider") == {"acme_sdk"}


def test_an_sdk_imported_where_it_is_used_is_no_fault(install: Any) -> None:
    install("acme-sdk", modules=SDK)
    lazy = install.provider(inside="def client(self):\n        import acme_sdk\n        return acme_sdk.client")
    install("acme-books", modules={"acme_books": f"{lazy}\nimport csv, xml.dom"})
    check_imports("acme_books:provider")


def test_a_plugin_that_does_not_load_is_no_clean_plugin(install: Any) -> None:
    install("acme-books", modules={"acme_books": "import acme_sdk"})
    with pytest.raises(ProviderLoadError, match="No module named 'acme_sdk'"):
        check_imports("acme_books:provider")


def test_no_installed_provider_needs_its_sdk_to_be_described() -> None:
    found = entry_points(group=PROVIDERS)
    if not found:
        pytest.skip("no provider is installed here, only on the path")
    for entry in found:
        check_imports(entry.value)
        assert ProviderCatalog().describe(entry.name).problem is None

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from stevedore.extension import ExtensionManager

from billhook.contract import Declaration, Provider, hookimpl
from billhook.contract.entry_points import PROVIDERS
from billhook.errors import ContractViolation, ProviderLoadError
from billhook.plugins import UNPACKAGED, ProviderCatalog, discovery


def acme(value: str = "acme_books:provider", name: str = "acme") -> dict[str, dict[str, str]]:
    return {PROVIDERS: {name: value}}


def make_provider(type_: str, **members: Any) -> type[Provider[Any]]:
    declaration = Declaration(type=type_, name=type_.title(), description="For a test.", capabilities={})
    return type("Made", (Provider,), {"declaration": declaration, **members})


def test_an_installed_provider_is_loaded_by_its_name(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    provider = ProviderCatalog().load("acme")
    assert provider.declaration.name == "Acme"
    assert provider.__module__ == "acme_books"


def test_listing_names_the_distribution_and_imports_nothing(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": "raise RuntimeError('imported')"})
    listing = next(entry for entry in ProviderCatalog().listing() if entry.name == "acme")
    assert (listing.distribution, listing.version, listing.target) == ("acme-books", "1.2.3", "acme_books:provider")
    assert "acme_books" not in sys.modules


def test_loading_one_provider_imports_no_other(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    install("other-books", acme("other_books:provider", "other"), {"other_books": "raise RuntimeError('imported')"})
    ProviderCatalog().load("acme")
    assert "other_books" not in sys.modules


def test_a_name_that_two_distributions_offer_is_refused_before_either_is_imported(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    install("between", acme("acme_books:provider", "between"))
    install("zz-shadow", acme("zz_shadow:provider"), {"zz_shadow": install.provider()})
    with pytest.raises(ProviderLoadError, match=r"acme-books 1\.2\.3, zz-shadow 1\.2\.3"):
        ProviderCatalog().load("acme")
    assert not {"acme_books", "zz_shadow"} & set(sys.modules)


def test_the_same_target_under_two_distributions_is_a_duplicate_too(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    install("acme-books-fork", acme())
    with pytest.raises(ProviderLoadError, match="acme-books-fork"):
        ProviderCatalog().load("acme")


def test_an_older_copy_further_down_the_path_is_no_duplicate(install: Any) -> None:
    install("acme-books", acme("old_books:provider"), version="1.0.0")
    install("acme-books", acme(), {"acme_books": install.provider()}, version="2.0.0")
    catalog = ProviderCatalog()
    assert catalog.load("acme").__module__ == "acme_books"
    assert catalog.describe("acme").version == "2.0.0"


def test_a_provider_installed_later_is_seen_by_the_next_catalog(install: Any) -> None:
    assert "acme" not in ProviderCatalog().names()
    install("acme-books", acme(), {"acme_books": install.provider()})
    assert ProviderCatalog().load("acme").__module__ == "acme_books"


def test_what_stevedore_remembers_does_not_decide_what_is_imported(
    install: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("acme-books", acme(), {"acme_books": install.provider(), "evil_books": install.provider()})
    remembered = [EntryPoint("acme", "evil_books:provider", PROVIDERS)]
    monkeypatch.setitem(ExtensionManager.ENTRY_POINT_CACHE, PROVIDERS, remembered)
    assert ProviderCatalog().load("acme").__module__ == "acme_books"
    assert "evil_books" not in sys.modules


def test_each_name_leads_to_its_own_provider(install: Any) -> None:
    install("acme-books", acme("acme_books:provider", "zulu"), {"acme_books": install.provider("zulu")})
    install("other-books", acme("other_books:provider", "alpha"), {"other_books": install.provider("alpha")})
    assert ProviderCatalog().load("zulu").declaration.type == "zulu"
    assert ProviderCatalog().load("alpha").declaration.type == "alpha"


@pytest.mark.parametrize(
    "failure",
    [
        "raise ValueError('no good')",
        "assert False, 'no good'",
        "import sys; sys.exit('no good')",
        "from json import no_good",
    ],
)
def test_a_provider_that_fails_to_import_is_an_error_that_names_its_distribution(install: Any, failure: str) -> None:
    install("acme-books", acme(), {"acme_books": failure})
    with pytest.raises(ProviderLoadError, match=r"acme-books 1\.2\.3 could not be imported.*no.good"):
        ProviderCatalog().load("acme")


def test_a_missing_dependency_is_told_with_the_command_that_installs_it(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": "import acme_sdk.client"})
    with pytest.raises(ProviderLoadError, match=r"needs the module 'acme_sdk'.*pip install --upgrade acme-books"):
        ProviderCatalog().load("acme")


def test_a_known_provider_is_installed_by_its_extra(install: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # By its own name: the real one may be installed beside it.
    monkeypatch.setattr(discovery, "EXTRAS", frozenset({"ledgerly"}))
    install(
        "billhook-ledgerly", acme("billhook_ledgerly:provider", "ledgerly"), {"billhook_ledgerly": "import ledgerly"}
    )
    with pytest.raises(ProviderLoadError, match=r'needs the module .ledgerly.*pip install "billhook\[ledgerly\]"'):
        ProviderCatalog().load("ledgerly")


def test_a_damaged_installation_is_told_from_a_missing_dependency(install: Any) -> None:
    install("acme-books", acme("acme_books.provider:provider"), {"acme_books.__init__": ""})
    with pytest.raises(ProviderLoadError, match=r"has no module 'acme_books\.provider'.*--force-reinstall acme-books"):
        ProviderCatalog().load("acme")


def test_a_plugin_that_lacks_a_module_of_its_own_is_called_faulty(install: Any) -> None:
    install("acme-books", acme("acme_books:provider"), {"acme_books.__init__": "import acme_books.mapping"})
    with pytest.raises(ProviderLoadError, match=r"'acme_books\.mapping', which is not in it"):
        ProviderCatalog().load("acme")


def test_an_unknown_name_lists_what_is_there() -> None:
    catalog = ProviderCatalog.from_objects([make_provider("acme")])
    with pytest.raises(ProviderLoadError, match=r"no provider 'acne' \(there are: acme\)"):
        catalog.load("acne")


def test_an_unknown_name_that_an_extra_installs_says_so() -> None:
    with pytest.raises(ProviderLoadError, match=r'pip install "billhook\[xero\]"'):
        ProviderCatalog.from_objects([]).load("xero")


def test_a_provider_that_is_not_allowed_is_never_imported(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    catalog = ProviderCatalog(allow=["xero", "manual"])
    assert "acme" not in catalog.names()
    for ask in (catalog.load, catalog.describe, catalog.handle):
        with pytest.raises(ProviderLoadError, match=r"not allowed here \(allowed: manual, xero\)"):
            ask("acme")
    assert "acme_books" not in sys.modules


def test_an_empty_list_allows_nothing(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    assert ProviderCatalog(allow=()).names() == ()


def test_a_provider_whose_instances_and_class_count_as_false_is_loaded_all_the_same(install: Any) -> None:
    falsy = "class Falsy(type):\n    def __bool__(cls):\n        return False\n"
    text = install.provider(inside="def __len__(self):\n        return 0").replace(
        "(Provider)", "(Provider, metaclass=Falsy)"
    )
    install("acme-books", acme(), {"acme_books": text.replace("class AcmeProvider", f"{falsy}\nclass AcmeProvider")})
    catalog = ProviderCatalog()
    assert catalog.load("acme").__name__ == "AcmeProvider"
    assert catalog.handle("acme").declaration.type == "acme"


def test_an_entry_point_under_another_name_than_the_declared_type_is_refused(install: Any) -> None:
    install("acme-books", acme(name="acme_books"), {"acme_books": install.provider("acme")})
    with pytest.raises(ContractViolation, match="declares the type 'acme'"):
        ProviderCatalog().load("acme_books")


def test_an_entry_point_that_leads_to_no_provider_is_refused(install: Any) -> None:
    install("acme-books", acme("acme_books:answer"), {"acme_books": "answer = 42"})
    with pytest.raises(ContractViolation, match="42 is no provider class"):
        ProviderCatalog().load("acme")


def test_a_description_holds_the_declaration_and_says_that_the_sdk_is_missing(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    described = ProviderCatalog().describe("acme")
    assert described.declaration is not None
    assert described.declaration.type == "acme"
    assert described.problem is None
    assert described.requirement is not None
    assert described.requirement.installed is None
    assert described.requirement.install == 'pip install "acme-books[sdk]"'


def test_a_description_tells_the_installed_version_of_the_sdk(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    install("acme-sdk", version="2.7.1")
    requirement = ProviderCatalog().describe("acme").requirement
    assert requirement is not None
    assert (requirement.requirement, requirement.installed, requirement.install) == ("acme-sdk>=2,<3", "2.7.1", None)


def test_a_provider_that_does_not_load_is_described_by_its_problem(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": "import acme_sdk"})
    described = ProviderCatalog().describe("acme")
    assert described.declaration is None
    assert described.distribution == "acme-books"
    assert "needs the module 'acme_sdk'" in str(described.problem)


def test_a_duplicate_is_described_with_both_its_distributions(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    install("zz-shadow", acme("zz_shadow:provider"))
    described = ProviderCatalog().describe("acme")
    assert described.distribution == "acme-books, zz-shadow"
    assert "offered 2 times" in str(described.problem)


def test_apps_share_a_handle_unless_they_override_a_hook() -> None:
    class Numbering:
        @hookimpl
        def assign_number(self, number):
            return "N"

    catalog = ProviderCatalog.from_objects([make_provider("acme")])
    plain, overridden = catalog.handle("acme"), catalog.handle("acme", [Numbering()])
    assert catalog.handle("acme") is plain
    assert plain.assign_number(None, None) is None
    assert overridden.assign_number(None, None) == "N"


def test_a_host_hands_in_a_class_without_packaging_it() -> None:
    provider = make_provider("acme")
    catalog = ProviderCatalog.from_objects([provider])
    assert catalog.names() == ("acme",)
    assert catalog.load("acme") is provider
    assert catalog.handle("acme").version == UNPACKAGED


def test_a_handed_in_class_stands_beside_the_installed_ones(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    catalog = ProviderCatalog(objects=[make_provider("house_ledger")])
    assert {"acme", "house_ledger"} <= set(catalog.names())
    assert catalog.handle("acme").version == "1.2.3"


def test_a_handed_in_class_does_not_shadow_an_installed_one(install: Any) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    with pytest.raises(ProviderLoadError, match=r"more than once: Made, acme-books 1\.2\.3"):
        ProviderCatalog(objects=[make_provider("acme")]).load("acme")


def test_a_handed_in_class_that_breaks_the_contract_is_refused_at_once() -> None:
    with pytest.raises(ContractViolation, match="no declaration"):
        ProviderCatalog.from_objects([type("Bare", (Provider,), {})])


def test_the_import_path_is_left_as_it_was(install: Any, tmp_path: Path) -> None:
    install("acme-books", acme(), {"acme_books": install.provider()})
    before = list(sys.path)
    ProviderCatalog().load("acme")
    assert sys.path == before

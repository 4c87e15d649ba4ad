from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from billhook.contract import (
    Batch,
    Capability,
    Declaration,
    Done,
    Find,
    Full,
    Function,
    NotYet,
    NumberOwner,
    NumberRules,
    OperationRules,
    Partial,
    Provider,
    RateLimit,
    Rejected,
    RemovalResult,
    Reply,
    Request,
    Unsupported,
    hookimpl,
    registered,
)
from billhook.errors import ContractViolation
from billhook.plugins import check_observer, check_override, check_provider, check_returned

VOID = {Capability.VOID: Full()}
MAP_LINE = {Capability.MAP_LINE: Full()}


def declaring(capabilities: dict[Capability, Any] | None = None, **rules: Any) -> Declaration:
    return Declaration(type="acme", name="Acme", description="Books of Acme.", capabilities=capabilities or {}, **rules)


def request(step: str = "void") -> Request:
    return Request(step, "GET", "https://acme.example/")


class Sound(Provider):
    """Keeps the contract in every point; the broken ones each change one thing."""

    declaration = declaring(
        {
            Capability.VOID: Full(),
            Capability.DELETE: Partial(reason="drafts alone"),
            Capability.MAP_LINE: Full(),
            Capability.REFUND: NotYet(reason="nobody asked"),
            Capability.CREDIT: Unsupported(reason="Acme has none"),
        },
        operations={Capability.DELETE: OperationRules(local=True)},
    )

    @hookimpl
    def void(self, batch):
        reply = yield request()
        return {item.id: self.read(item, reply) for item in batch.items}

    @hookimpl
    def delete(self, batch):
        return {item.id: Done(RemovalResult()) for item in batch.items}

    @hookimpl
    def map_line(self, line):
        return None

    @hookimpl
    def classify(self, request, reply):
        return None

    def read(self, item: Any, reply: Reply) -> Any:
        return Done(RemovalResult()) if reply.status == 200 else Rejected(())


def test_a_sound_provider_passes() -> None:
    assert check_provider(Sound) is Sound


def problems(provider: object) -> list[str]:
    with pytest.raises(ContractViolation) as caught:
        check_provider(provider)
    return [line.removeprefix("  - ") for line in str(caught.value).splitlines()[1:]]


class DeclaredButAbsent(Provider):
    declaration = declaring(VOID)


class PartlyDeclaredButAbsent(Provider):
    declaration = declaring({Capability.MAP_LINE: Partial(reason="sales alone")})


class PresentButUndeclared(Provider):
    declaration = declaring()

    @hookimpl
    def void(self, batch):
        yield request()


class PresentButNotYet(Provider):
    declaration = declaring({Capability.MAP_LINE: NotYet(reason="soon")})

    @hookimpl
    def map_line(self, line):
        return None


class PresentButUnsupported(Provider):
    declaration = declaring({Capability.VOID: Unsupported(reason="Acme can't")})

    @hookimpl
    def void(self, batch):
        yield request()


class Unmarked(Provider):
    declaration = declaring(VOID)

    def void(self, batch):
        yield request()


class UnmarkedReading(Provider):
    declaration = declaring()

    def classify(self, request, reply):
        return None


class UnmarkedInSubclass(Sound):
    def void(self, batch):
        yield request()


class NewerContract(Provider):
    declaration = declaring(contract="1.99")


class OlderContract(Provider):
    declaration = declaring(contract="0.9")


class NoContract(Provider):
    declaration = declaring(contract="latest")


class NeverYields(Provider):
    declaration = declaring(VOID)

    @hookimpl
    def void(self, batch):
        return {}


class LocalButYields(Provider):
    declaration = declaring(VOID, operations={Capability.VOID: OperationRules(local=True)})

    @hookimpl
    def void(self, batch):
        yield request()


class AsyncOperation(Provider):
    declaration = declaring(VOID)

    @hookimpl
    async def void(self, batch):
        return {}


class AsyncGenerator(Provider):
    declaration = declaring(VOID)

    @hookimpl
    async def void(self, batch):
        yield request()


class AsyncPure(Provider):
    declaration = declaring(MAP_LINE)

    @hookimpl
    async def map_line(self, line):
        return None


class PureYields(Provider):
    declaration = declaring(MAP_LINE)

    @hookimpl
    def map_line(self, line):
        yield None


class ReadingYields(Provider):
    declaration = declaring()

    @hookimpl
    def classify(self, request, reply):
        yield None


class Wraps(Provider):
    declaration = declaring(VOID)

    @hookimpl(wrapper=True)
    def void(self, batch):
        return (yield)


class GoesFirst(Provider):
    declaration = declaring(MAP_LINE)

    @hookimpl(tryfirst=True)
    def map_line(self, line):
        return None


class NamedOtherwise(Provider):
    declaration = declaring()

    @hookimpl(specname="map_line")
    def where(self, line):
        return None


class Misspelt(Provider):
    declaration = declaring()

    @hookimpl
    def sync_drafts(self, batch):
        yield request()


class MisspeltAndOptional(Provider):
    declaration = declaring()

    @hookimpl(optionalhook=True)
    def map_lines(self, line):
        return None


class Observes(Provider):
    declaration = declaring()

    @hookimpl
    def invoice_transitioned(self, event):
        return None


class StrangeArgument(Provider):
    declaration = declaring(MAP_LINE)

    @hookimpl
    def map_line(self, line, customer):
        return None


class DefaultedArgument(Provider):
    declaration = declaring(MAP_LINE)

    @hookimpl
    def map_line(self, line, settings=None):
        return None


class KeywordArgument(Provider):
    declaration = declaring(MAP_LINE)

    @hookimpl
    def map_line(self, line, *, settings):
        return None


class AnyArguments(Provider):
    declaration = declaring(MAP_LINE)

    @hookimpl
    def map_line(self, *arguments):
        return None


class NotAFunction(Provider):
    declaration = declaring(MAP_LINE)
    map_line = hookimpl(functools.partial(print))


class YieldsInFinally(Provider):
    declaration = declaring(VOID)

    @hookimpl
    def void(self, batch):
        try:
            yield request()
        finally:
            yield request("cleanup")


class HelperYieldsInFinally(Provider):
    declaration = declaring(VOID)

    @hookimpl
    def void(self, batch):
        return (yield from self.steps())

    def steps(self):
        try:
            yield request()
        finally:
            yield from self.more()

    def more(self):
        yield request("cleanup")


class CatchesEverything(Provider):
    declaration = declaring(VOID)

    @hookimpl
    def void(self, batch):
        try:
            yield request()
        except BaseException:  # noqa: BLE001
            return {}


class CatchesBare(Provider):
    declaration = declaring(VOID)

    @hookimpl
    def void(self, batch):
        text = """
flush left"""
        try:
            if batch:
                yield request(text)
        except:  # noqa: E722
            return {}


class CatchesClosing(Provider):
    declaration = declaring(VOID)

    @hookimpl
    def void(self, batch):
        try:
            yield request()
        except (ValueError, GeneratorExit):
            return {}


class NeedsArguments(Provider):
    declaration = declaring()

    def __init__(self, client: object) -> None:
        self.client = client


class RulesForNoOperation(Provider):
    declaration = declaring(MAP_LINE, operations={Capability.MAP_LINE: OperationRules()})

    @hookimpl
    def map_line(self, line):
        return None


class RulesForUndeclared(Provider):
    declaration = declaring(operations={Capability.VOID: OperationRules()})


class LimitOfNoOperation(Provider):
    declaration = declaring(
        limits=(RateLimit(name="minute", calls=60, per="PT60S", operations=frozenset({Capability.MAP_LINE})),)
    )


class NumberNeverArrives(Provider):
    declaration = declaring({Capability.SYNC_DRAFT: Full()})

    @hookimpl
    def sync_draft(self, batch):
        yield request()


class ShapesForeignNumbers(Provider):
    declaration = declaring({Capability.ASSIGN_NUMBER: Full()}, numbers=NumberRules(owner=NumberOwner.PROVIDER))

    @hookimpl
    def assign_number(self, number):
        return None


class BadPattern(Provider):
    declaration = declaring(numbers=NumberRules(pattern="INV-(["))


@pytest.mark.parametrize(
    "provider, complaint",
    [
        (DeclaredButAbsent, "void is declared, but not there"),
        (PartlyDeclaredButAbsent, "map_line is declared, but not there"),
        (PresentButUndeclared, "void is there, but not declared"),
        (PresentButNotYet, "map_line is there, but declared not_yet"),
        (PresentButUnsupported, "void is there, but declared unsupported"),
        (Unmarked, "void is overridden without @hookimpl"),
        (UnmarkedReading, "classify is overridden without @hookimpl"),
        (UnmarkedInSubclass, "void is overridden without @hookimpl"),
        (NewerContract, "written for contract 1.99, and this is 1.1. Upgrade billhook"),
        (OlderContract, "written for contract 0.9, and this is 1.1. Upgrade the provider"),
        (NoContract, "'latest' is not of the form MAJOR.MINOR"),
        (NeverYields, "void never yields"),
        (LocalButYields, "void is declared local and yields"),
        (AsyncOperation, "void is async"),
        (AsyncGenerator, "void is async"),
        (AsyncPure, "map_line is async"),
        (PureYields, "map_line yields. It is a pure hook"),
        (ReadingYields, "classify yields. It is a reading hook"),
        (Wraps, "@hookimpl(wrapper=...)"),
        (GoesFirst, "@hookimpl(tryfirst=...)"),
        (NamedOtherwise, "where is marked with @hookimpl but is no hook"),
        (Misspelt, "sync_drafts is marked with @hookimpl but is no hook. Did you mean sync_draft?"),
        (MisspeltAndOptional, "map_lines is marked with @hookimpl but is no hook. Did you mean map_line?"),
        (Observes, "invoice_transitioned is marked with @hookimpl but is no hook"),
        (StrangeArgument, "map_line takes 'customer', which the hook does not give"),
        (DefaultedArgument, "map_line has a default for 'settings'"),
        (KeywordArgument, "map_line takes settings. Name the arguments"),
        (AnyArguments, "map_line takes *arguments"),
        (NotAFunction, "map_line is a partial; a hook is a function"),
        (YieldsInFinally, "void yields inside finally"),
        (HelperYieldsInFinally, "steps yields inside finally"),
        (CatchesEverything, "void catches BaseException around a yield"),
        (CatchesBare, "void catches BaseException around a yield"),
        (CatchesClosing, "void catches BaseException around a yield"),
        (NeedsArguments, "can't be made without arguments"),
        (RulesForNoOperation, "rules for map_line, which is no operation"),
        (RulesForUndeclared, "rules for void, which is not declared"),
        (LimitOfNoOperation, "the limit 'minute' counts map_line"),
        (NumberNeverArrives, "needed for issue, which is not declared"),
        (ShapesForeignNumbers, "assign_number shapes the engine's numbers, but the provider gives them"),
        (BadPattern, "'INV-([' is no regular expression"),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_provider_is_refused_for_exactly_its_fault(provider: type[Any], complaint: str) -> None:
    found = problems(provider)
    assert len(found) == 1, found
    assert complaint in found[0]


@pytest.mark.parametrize("thing", [42, None, Sound(), object, "acme_books:provider"])
def test_what_is_no_provider_class_is_refused(thing: object) -> None:
    with pytest.raises(ContractViolation, match="is no provider class"):
        check_provider(thing)


def test_a_declaration_of_another_kind_is_refused() -> None:
    with pytest.raises(ContractViolation, match=r"Set declaration = Declaration\(\.\.\.\)"):
        check_provider(type("Loose", (Provider,), {"declaration": {"type": "acme"}}))


def test_every_fault_is_told_at_once() -> None:
    class Wrong(Provider):
        declaration = declaring({Capability.VOID: Full(), Capability.DELETE: Full()}, contract="2.0")

        @hookimpl
        def delete(self, batch, extra=None):
            return {}

        @hookimpl
        def sync_drafts(self, batch):
            yield request()

    assert len(problems(Wrong)) == 5


def test_a_decorated_operation_passes_when_the_decorator_keeps_its_name() -> None:
    def noted(operation: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(operation)
        def note(*arguments: Any) -> Any:
            return operation(*arguments)

        return note

    class Decorated(Provider):
        declaration = declaring(VOID)

        @hookimpl
        @noted
        def void(self, batch):
            yield request()

    assert check_provider(Decorated) is Decorated


def test_cleaning_up_without_a_yield_passes() -> None:
    class Careful(Provider):
        declaration = declaring(VOID)

        @hookimpl
        def void(self, batch):
            try:
                reply = yield request()
            except ValueError:
                return {}
            finally:
                [found] = [(lambda: (yield))]
            try:
                found = reply.json()
            except BaseException:  # noqa: BLE001 - no yield inside
                found = None
            return {item.id: found for item in batch.items}

    assert check_provider(Careful) is Careful


def test_an_operation_without_source_is_judged_by_its_form_alone() -> None:
    namespace: dict[str, Any] = {"request": request, "hookimpl": hookimpl}
    exec("@hookimpl\ndef void(self, batch):\n    try:\n        yield request()\n    finally:\n        yield", namespace)
    provider = type("Typed", (Provider,), {"declaration": declaring(VOID), "void": namespace["void"]})
    assert check_provider(provider) is provider


def steps() -> Any:
    yield request()


def test_an_operation_returns_a_generator_and_a_local_one_a_mapping() -> None:
    generator = steps()
    assert check_returned("void", generator, local=False) is generator
    assert check_returned("void", {}, local=True) == {}


@pytest.mark.parametrize(
    "returned, local, complaint",
    [
        ({}, False, "void returned a dict, but an operation is a generator function"),
        (None, False, "void returned None"),
        ([], False, "void returned a list"),
        (steps(), True, "void returned a generator, but a local operation returns a mapping"),
        ([], True, "void returned a list, but a local operation"),
        (None, True, "void returned None, but a local operation"),
    ],
)
def test_anything_else_that_an_operation_returns_is_refused(returned: object, local: bool, complaint: str) -> None:
    with pytest.raises(ContractViolation, match=complaint):
        check_returned("void", returned, local=local)


class Mapping:
    @hookimpl
    def map_line(self, line):
        return None


class Operating:
    @hookimpl
    def void(self, batch: Batch[Any, Any]) -> Any:
        yield request()


class Reading:
    @hookimpl
    def authenticate(self, request):
        return request


class Watching:
    @hookimpl
    def invoice_transitioned(self, event):
        return None


class AsyncWatching:
    @hookimpl
    async def invoice_transitioned(self, event):
        return None


class FirstMapping:
    @hookimpl(trylast=True)
    def map_line(self, line):
        return None


class WrongMapping:
    @hookimpl
    def map_line(self, row):
        return None


def test_an_override_of_a_pure_hook_passes() -> None:
    check_override(Mapping())


@pytest.mark.parametrize(
    "override, complaint",
    [
        (Operating(), "void is not for it to implement"),
        (Reading(), "authenticate is not for it to implement"),
        (Watching(), "invoice_transitioned is not for it to implement"),
        (FirstMapping(), r"@hookimpl\(trylast=\.\.\.\)"),
        (WrongMapping(), "map_line takes 'row'"),
        (Mapping, "Mapping is a class; hand in an instance"),
        (object(), "it implements no hook. Mark at least one of map_line"),
    ],
)
def test_an_override_of_anything_else_is_refused(override: object, complaint: str) -> None:
    with pytest.raises(ContractViolation, match=complaint):
        check_override(override)


def test_an_observer_observes_alone() -> None:
    check_observer(Watching())
    for other in (Mapping(), Operating(), AsyncWatching(), Watching, object()):
        with pytest.raises(ContractViolation, match="The observer"):
            check_observer(other)


class NamesWhatIsNotThere(Provider):
    declaration = declaring(VOID)

    @hookimpl
    def void(self, batch):
        yield Request("void", "POST", "https://acme.test", recover=(self._find(batch),))

    def _find(self, batch):
        look = Request("look", "GET", "https://acme.test")
        return Find(look, self.function("matchh", ids=[]), authoritative=True)

    @registered
    def match(self, reply, ids):
        return {}


class NamesWhatIsNotRegistered(NamesWhatIsNotThere):
    def _find(self, batch):
        return Find(Request("look", "GET", "https://acme.test"), Function("match_plainly"), authoritative=True)

    def match_plainly(self, reply):
        return {}


class TakesNoBatch(Provider):
    declaration = declaring(VOID)

    @hookimpl
    def void(self):
        yield request()


def test_a_function_that_is_named_must_be_registered():
    assert problems(NamesWhatIsNotThere) == [
        "_find names the function 'matchh', which is not registered. Define it on the provider and mark it with @registered."
    ]
    assert "_find names the function 'match_plainly', which is not registered" in problems(NamesWhatIsNotRegistered)[0]


def test_an_operation_takes_a_batch():
    assert problems(TakesNoBatch) == ["void takes no batch, so it can't know what to do. Write def void(self, batch)."]

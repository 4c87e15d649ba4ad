from __future__ import annotations

import pytest

from billhook.contract import Capability, DocumentResult, Done, NumberRules, Snapshot, hookimpl
from billhook.testing.kit import Subject
from billhook.testing.kit.bench import Bench
from billhook.testing.sandbox import provider as sandbox, simulator


class Telling(sandbox):
    """Tells how many mapped lines an operation got."""

    @hookimpl
    def fetch(self, batch):
        yield from ()
        return {item.id: Done(Snapshot(found=True, number=str(len(item.lines)))) for item in batch.items}

    @hookimpl
    def issue(self, batch):
        yield from ()
        return {item.id: Done(DocumentResult(number=str(len(item.lines)))) for item in batch.items}


class NumbersDrafts(sandbox):
    declaration = sandbox.declaration.model_copy(update={"numbers": NumberRules(needed_for=Capability.SYNC_DRAFT)})


@pytest.mark.parametrize("capability, lines", [(Capability.FETCH, "0"), (Capability.ISSUE, "3")])
def test_lines_come_only_with_operations_that_map_them(capability, lines):
    with Bench(Subject.of(Telling, simulator)) as bench:
        assert bench.run(capability, bench.invoice_item(1)).result.number == lines


@pytest.mark.parametrize("provider, number", [(sandbox, None), (NumbersDrafts, "INV-4")])
def test_a_draft_has_its_number_where_that_is_declared(provider, number):
    with Bench(Subject.of(provider, simulator)) as bench:
        assert bench.invoice_item(4).number == number

"""What a sweep looks at: everything that no event may have told of, on either side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from billhook import InvoiceFilter, InvoiceView, Namespace
from billhook_openmeter.client import OpenMeter
from billhook_openmeter.mirroring import key_of, upstream_id_of
from billhook_openmeter.phases import Here, phase_here

OPEN_UPSTREAM = (
    "draft.syncing",
    "draft.sync_failed",
    "issuing.syncing",
    "issuing.failed",
    *(f"payment_processing.{name}" for name in ("pending", "failed", "action_required", "authorized")),
    *(
        f"payment_processing.booking_{name}{end}"
        for name in ("authorized", "authorized_and_settled", "settled")
        for end in ("", "_failed")
    ),
    "overdue",
    "uncollectible",
)
"""Where upstream waits for us, or shows that something failed."""
GONE_UPSTREAM = ("voided", "delete.in_progress", "delete.syncing", "delete.failed", "deleted")
OPEN_HERE = ("draft", "issuing", "issued", "payment_processing", "overdue", "uncollectible", "delete")
GONE_HERE = ("voided", "deleted")
LOCAL_PAGE = 1000


class Sweep:
    """Finds what to visit. What is over on both sides is looked at once: it is remembered, and nothing leads out of it."""

    def __init__(self, billing: Namespace, upstream: OpenMeter) -> None:
        self._billing = billing
        self._upstream = upstream
        self._gone_upstream: set[str] = set()

    def ids(self) -> Iterator[str]:
        """Upstream ids, each once: what is open on either side, and what is over on one of them alone. Raises UpstreamError.

        What moves on meanwhile shifts OpenMeter's pages, so that one may be left out: the next sweep has it.
        """
        seen: set[str] = set()
        for upstream_id in self._all():
            if upstream_id not in seen:
                seen.add(upstream_id)
                yield upstream_id

    def _all(self) -> Iterator[str]:
        yield from self._upstream.invoice_ids(OPEN_UPSTREAM)
        yield from _upstream_ids(self._here(InvoiceFilter(statuses=OPEN_HERE)))
        newly_gone = self._newly_gone_upstream()
        yield from (id for id in newly_gone if self._is_held_here(id))
        yield from _upstream_ids(self._here(InvoiceFilter(not_in_books=True)))
        gone_here = _upstream_ids(self._here(InvoiceFilter(statuses=GONE_HERE, include_deleted=True)))
        yield from (id for id in gone_here if id not in self._gone_upstream)

    def _newly_gone_upstream(self) -> Sequence[str]:
        """What went since the last sweep: the newest first, up to a page of which all is known."""
        newly: list[str] = []
        for page in self._upstream.pages_of_ids(GONE_UPSTREAM, newest_first=True):
            unknown = [id for id in page if id not in self._gone_upstream]
            if not unknown:
                break
            newly += unknown
        self._gone_upstream.update(newly)
        return newly

    def _is_held_here(self, upstream_id: str) -> bool:
        here = self._billing.invoices.find(key_of(upstream_id))
        return here is not None and phase_here(here.status) is Here.PAID

    def _here(self, wanted: InvoiceFilter) -> Iterator[InvoiceView]:
        page = 1
        while True:
            found = self._billing.invoices.list(wanted, page=page, page_size=LOCAL_PAGE)
            yield from found.items
            if page * LOCAL_PAGE >= found.total_count:
                return
            page += 1


def _upstream_ids(invoices: Iterator[InvoiceView]) -> list[str]:
    return [id for id in (upstream_id_of(invoice.key) for invoice in invoices) if id is not None]

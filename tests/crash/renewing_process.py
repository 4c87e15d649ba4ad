"""A worker process for three organisations on one grant at a simulated Xero. It works until it is killed.

python renewing_process.py STORE
"""

from __future__ import annotations

import sys
import time
from datetime import timedelta

from billhook.engine.context import Policy
from billhook.engine.engine import Engine
from billhook.engine.sending import ThreadSenders
from billhook.plugins.catalog import ProviderCatalog
from billhook.testing.builders import CREDENTIAL_KEYS
from billhook_xero.provider import XeroProvider

LONGEST = timedelta(seconds=2)
QUICK = Policy(first_backoff=timedelta(milliseconds=50), longest_backoff=timedelta(seconds=1), look_ups=30)
PAUSE_SECONDS = 0.02


class QuickXero(XeroProvider):
    """Waits for an answer no longer than a test can, and asks as often as it likes."""

    declaration = XeroProvider.declaration.model_copy(
        update={
            "limits": (),
            "operations": {
                name: rules.model_copy(update={"longest": LONGEST})
                for name, rules in XeroProvider.declaration.operations.items()
            },
        }
    )


def open_engine(store: str) -> Engine:
    """The engine on that database, in a hurry."""
    catalog = ProviderCatalog.from_objects([QuickXero])
    return Engine.open(store, upgrade=False, catalog=catalog, policy=QUICK, credential_keys=CREDENTIAL_KEYS)


def main(store: str) -> None:
    with open_engine(store) as engine:
        print("ready", flush=True)  # noqa: T201 - whoever started it waits for this line
        while True:
            senders = ThreadSenders(4)
            engine.run_until_idle(senders=senders)
            senders.close()
            time.sleep(PAUSE_SECONDS)


if __name__ == "__main__":
    main(sys.argv[1])

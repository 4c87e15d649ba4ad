"""Newer credentials for the apps that a worker holds: asked for in time, or once a request was refused for want of them."""

from __future__ import annotations

from datetime import datetime, timedelta

from billhook.engine.app_status import become_unauthorized
from billhook.engine.circuit import count_failure
from billhook.engine.context import Context
from billhook.engine.credentials import Credentials
from billhook.engine.held_apps import HeldApps
from billhook.engine.open_operation import HeldApp, OpenOperation
from billhook.engine.renewal import Postponed, Refused, Renewal, Renewals, Renewed
from billhook.engine.sending import Landing, Senders
from billhook.store.transaction import Transaction


class FreshCredentials:
    """Renews what is about to expire, once for all that share it; holds the work of apps that nothing lets in any more."""

    def __init__(
        self,
        context: Context,
        credentials: Credentials,
        renewals: Renewals,
        senders: Senders[Landing],
        apps: HeldApps,
    ) -> None:
        self._context = context
        self._credentials = credentials
        self._renewals = renewals
        self._senders = senders
        self._apps = apps

    def ask_for_due(self, now: datetime) -> None:
        """Ask for newer ones where it is time to."""
        # Once for all that share them; the others find the new ones afterwards.
        under_way = {held.app.credential_id for held in self._apps if held.is_renewing}
        for held in self._apps:
            if held.should_renew(now) and held.app.credential_id not in under_way:
                held.is_renewing = True
                under_way.add(held.app.credential_id)
                self._senders.submit(self._renewals.task(held, held.credentials_version or 0))

    def take(self, held: HeldApp, renewal: Renewal, now: datetime) -> None:
        """What asking came to."""
        held.is_renewing = False
        match renewal:
            case Renewed(credential):
                held.take_credentials(credential, self._context.policy)
                held.refreshed_version = credential.version
            case Refused():
                self._refuse_all(held)
            case Postponed(after, _, failed):
                held.renew_at = now + max(after, self._patience(held, now) if failed else after)

    def after_refusal(self, operation: OpenOperation, now: datetime) -> None:
        """Use newer credentials where there are some, else renew them once, else hold all the app's work."""
        held, used = operation.held, operation.sent_with
        operation.due = now
        if held.credentials_version != used or held.is_renewing or held.is_refused:
            return
        if held.refreshed_version == used or not held.app.can_renew:
            self._refuse(held)
        else:
            self._expire(held, now)

    def _expire(self, held: HeldApp, now: datetime) -> None:
        held.usable_until = held.renew_at = now
        credential_id, version = held.app.credential_id, held.credentials_version
        if credential_id is not None and version is not None:
            self._context.database.write(lambda tx: self._credentials.expire(tx, credential_id, version))

    def _refuse(self, held: HeldApp) -> None:
        """Newer credentials that somebody set meanwhile are not to be blamed for what these did."""
        held.is_refused = True
        self._context.database.write(lambda tx: self._hold_unless_replaced(tx, held))

    def _hold_unless_replaced(self, tx: Transaction, held: HeldApp) -> None:
        known = self._credentials.version(tx, held.app.credential_id) if held.app.credential_id else None
        if known == held.credentials_version:
            become_unauthorized(self._context, tx, held.app.id)

    def _refuse_all(self, refused: HeldApp) -> None:
        for held in self._apps:
            if held.app.credential_id == refused.app.credential_id:
                held.is_refused = True

    def _patience(self, held: HeldApp, now: datetime) -> timedelta:
        """How long to wait after a renewal failed: no hurry while the credentials are good."""
        policy = self._context.policy
        if held.usable_until is not None and held.usable_until > now:
            return max((held.usable_until - now) / 4, policy.first_backoff)
        count_failure(self._context, held.lease, now)
        doublings = min(held.lease.failures - 1, 16)
        return min(policy.first_backoff * int(2**doublings), policy.longest_backoff)

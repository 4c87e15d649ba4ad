"""The tables, the same on SQLite and PostgreSQL.

Only three kinds of column: text, whole numbers and bytes. A time is microseconds since the epoch, UTC. An amount is decimal text, so that
no digit depends on the store. JSON is text or bytes that only we read. Every table that a host can reach carries its namespace.
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

PREFIX = "billhook_"


def _text(name: str, *, null: bool = False, default: str | None = None) -> sa.Column[str]:
    return sa.Column(name, sa.Text, nullable=null, server_default=default)


def _int(name: str, *, null: bool = False, default: int | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=null, server_default=None if default is None else str(default))


def _bytes(name: str, *, null: bool = False) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary, nullable=null)


def _table(
    name: str,
    *parts: sa.Column[str] | sa.Column[int] | sa.Column[bytes] | sa.Index | sa.Constraint,
    clustered: bool = False,
) -> sa.Table:
    # clustered: SQLite keeps the row inside its primary key; right for narrow rows that are found by that key.
    return sa.Table(PREFIX + name, metadata, *parts, sqlite_with_rowid=not clustered)


app = _table(
    "app",
    _text("id"),
    _text("namespace"),
    _text("type"),
    _text("name"),
    _text("description", null=True),
    _text("labels", default="{}"),
    _text("status"),
    _int("enabled", default=1),
    _text("settings"),
    _text("mapping", null=True),
    _text("limits", default="{}"),
    _text("credential_id", null=True),
    _int("created_at"),
    _int("updated_at"),
    _int("deleted_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_app_namespace", "namespace", "id"),
)

# Who is calling an app, and when it wants to be called next. Hot, so apart from the app itself.
app_lease = _table(
    "app_lease",
    _text("app_id"),
    _int("next_due", null=True),
    _text("owner", null=True),
    _int("fence", default=0),
    _int("expires_at", null=True),
    _int("throttled_until", null=True),
    _int("failures", default=0),
    _int("circuit_until", null=True),
    sa.PrimaryKeyConstraint("app_id"),
    sa.Index("billhook_app_lease_due", "next_due"),
    clustered=True,
)

credential = _table(
    "credential",
    _text("id"),
    _text("namespace"),
    _text("provider"),
    _int("version"),
    _bytes("data"),
    _int("updated_at"),
    _int("expires_at", null=True),
    _text("lock_owner", null=True),
    _int("lock_until", null=True),
    sa.PrimaryKeyConstraint("id"),
)

budget = _table(
    "budget",
    _text("scope"),
    _text("limit_name"),
    _text("spent"),
    sa.PrimaryKeyConstraint("scope", "limit_name"),
    clustered=True,
)

profile = _table(
    "profile",
    _text("id"),
    _text("namespace"),
    _text("name"),
    _text("description", null=True),
    _int("is_default", default=0),
    _text("supplier"),
    _text("workflow"),
    _text("tax_app_id"),
    _text("invoicing_app_id"),
    _text("payment_app_id"),
    _text("metadata", default="{}"),
    _int("created_at"),
    _int("updated_at"),
    _int("deleted_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_profile_namespace", "namespace", "id"),
)

customer = _table(
    "customer",
    _text("id"),
    _text("namespace"),
    _text("key", null=True),
    _text("name"),
    _text("description", null=True),
    _text("party"),
    _text("currency", null=True),
    _text("metadata", default="{}"),
    _int("revision", default=1),
    _int("created_at"),
    _int("updated_at"),
    _int("deleted_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("namespace", "key", name="billhook_customer_key"),
)

# By which words lists find a customer: one row for its name, its key, its address and each subject, as they are and without case.
customer_word = _table(
    "customer_word",
    _text("customer_id"),
    _text("field"),
    _int("place"),
    _text("word"),
    _text("folded"),
    sa.PrimaryKeyConstraint("customer_id", "field", "place"),
    clustered=True,
)

customer_override = _table(
    "customer_override",
    _text("customer_id"),
    _text("namespace"),
    _text("profile_id", null=True),
    _text("workflow", null=True),
    _int("created_at"),
    _int("updated_at"),
    sa.PrimaryKeyConstraint("customer_id"),
    sa.Index("billhook_customer_override_profile", "profile_id"),
)

# A customer as one app knows it. synced_revision: which revision of the customer the provider holds.
customer_link = _table(
    "customer_link",
    _text("customer_id"),
    _text("app_id"),
    _int("synced_revision", null=True),
    _text("external_id", null=True),
    _text("payment_method", null=True),
    _text("app_data", default="{}"),
    _text("leftovers", default="{}"),
    _text("failure", null=True),
    sa.PrimaryKeyConstraint("customer_id", "app_id"),
    sa.Index("billhook_customer_link_external", "app_id", "external_id"),
    clustered=True,
)

gathering = _table(
    "gathering",
    _text("id"),
    _text("namespace"),
    _text("customer_id"),
    _text("currency"),
    _text("number"),
    _int("created_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("namespace", "customer_id", "currency", name="billhook_gathering_pool"),
)

pending_line = _table(
    "pending_line",
    _text("id"),
    _text("namespace"),
    _text("gathering_id"),
    _int("invoice_at"),
    _bytes("body"),
    _int("created_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_pending_line_due", "gathering_id", "invoice_at"),
)

# The invoice row is the workflow: where it stands, what was confirmed for which revision, and the money so far.
invoice = _table(
    "invoice",
    _text("id"),
    _text("namespace"),
    _text("client_key", null=True),
    _text("draft_hash"),
    _text("state"),
    _int("version"),
    _int("revision"),
    _text("customer_id"),
    _text("profile_id"),
    _text("tax_app_id"),
    _text("invoicing_app_id"),
    _text("payment_app_id"),
    _text("currency"),
    _text("number"),
    _int("number_final", default=0),
    _text("total"),
    _text("amount_paid"),
    _text("amount_credited"),
    _text("amount_refunded"),
    _int("auto_advance"),
    _text("collection_method"),
    _text("draft_period"),
    _text("due_after"),
    _int("overdue_after_due", default=0),
    _int("mirrored", default=0),
    _int("own_customer", default=0),
    _int("stated_issued_at", null=True),
    _int("stated_due_at", null=True),
    _int("asks_tax", default=0),
    _int("asks_send", default=0),
    _int("has_lines", default=1),
    _int("critical_issues", default=0),
    _int("taxed_revision", null=True),
    _int("validated_revision", null=True),
    _int("synced_revision", null=True),
    _int("issued_revision", null=True),
    _int("sent_revision", null=True),
    _int("delete_confirmed", default=0),
    _int("void_confirmed", default=0),
    _int("write_off_confirmed", default=0),
    _int("period_start", null=True),
    _int("collection_at", null=True),
    _int("draft_until", null=True),
    _int("due_at", null=True),
    _int("issued_at", null=True),
    _int("sent_at", null=True),
    _int("overdue_at", null=True),
    _int("quantity_snapshotted_at", null=True),
    _int("voided_at", null=True),
    _int("deleted_at", null=True),
    _int("created_at"),
    _int("updated_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_invoice_namespace", "namespace", "id"),
    sa.Index("billhook_invoice_state", "namespace", "state", "id"),
    sa.Index("billhook_invoice_customer", "customer_id", "id"),
    sa.Index("billhook_invoice_client_key", "namespace", "client_key", unique=True),
    clustered=True,
)

credit_note = _table(
    "credit_note",
    _text("id"),
    _text("namespace"),
    _text("client_key", null=True),
    _text("draft_hash"),
    _text("state"),
    _int("version"),
    _text("customer_id"),
    _text("invoice_id", null=True),
    _text("app_id"),
    _text("currency"),
    _text("number"),
    _int("number_final", default=0),
    _text("total"),
    _text("amount_allocated"),
    _int("issued_at", null=True),
    _int("created_at"),
    _int("updated_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_credit_note_namespace", "namespace", "id"),
    sa.Index("billhook_credit_note_invoice", "invoice_id"),
    sa.Index("billhook_credit_note_client_key", "namespace", "client_key", unique=True),
)

# One immutable revision of an invoice's (or credit note's) content.
document_body = _table(
    "document_body",
    _text("document_id"),
    _int("revision"),
    _bytes("body"),
    sa.PrimaryKeyConstraint("document_id", "revision"),
)

# Where each line of a revision goes, as it was validated; what is sent later is what was validated.
document_mapping = _table(
    "document_mapping",
    _text("document_id"),
    _int("revision"),
    _text("app_id"),
    _bytes("lines"),
    sa.PrimaryKeyConstraint("document_id", "revision", "app_id"),
)

# A document, payment or refund as one app knows it.
document_link = _table(
    "document_link",
    _text("document_id"),
    _text("app_id"),
    _text("kind"),
    _text("external_id", null=True),
    _text("payment_external_id", null=True),
    _text("number", null=True),
    _text("url", null=True),
    _text("line_ids", default="{}"),
    _text("discount_ids", default="{}"),
    _text("leftovers", default="{}"),
    _text("evidence", null=True),
    sa.PrimaryKeyConstraint("document_id", "app_id"),
    sa.Index("billhook_document_link_external", "app_id", "external_id"),
    clustered=True,
)

validation_issue = _table(
    "validation_issue",
    _text("id"),
    _text("document_id"),
    _text("component"),
    _text("severity"),
    _text("code", null=True),
    _text("message"),
    _text("path", null=True),
    _text("metadata", default="{}"),
    _int("created_at"),
    _int("superseded_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_validation_issue_document", "document_id"),
)

payment = _table(
    "payment",
    _text("id"),
    _text("namespace"),
    _text("invoice_id"),
    _text("app_id"),
    _text("client_key", null=True),
    _text("state"),
    _text("amount"),
    _text("amount_received"),
    _text("amount_to_capture", null=True),
    _text("currency"),
    _text("origin"),
    _text("method", null=True),
    _text("external_id", null=True),
    _text("action_url", null=True),
    _text("code", null=True),
    _text("message", null=True),
    _int("received_at", null=True),
    _int("created_at"),
    _int("updated_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_payment_invoice", "invoice_id"),
    sa.Index("billhook_payment_external", "app_id", "external_id"),
    sa.Index("billhook_payment_client_key", "namespace", "client_key", unique=True),
)

refund = _table(
    "refund",
    _text("id"),
    _text("namespace"),
    _text("payment_id"),
    _text("invoice_id"),
    _text("app_id"),
    _text("client_key", null=True),
    _text("state"),
    _text("origin"),
    _text("amount"),
    _text("currency"),
    _text("reason", null=True),
    _text("external_id", null=True),
    _text("message", null=True),
    _int("created_at"),
    _int("updated_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_refund_invoice", "invoice_id"),
    sa.Index("billhook_refund_external", "app_id", "external_id"),
    sa.Index("billhook_refund_client_key", "namespace", "client_key", unique=True),
)

allocation = _table(
    "allocation",
    _text("id"),
    _text("namespace"),
    _text("credit_note_id"),
    _text("invoice_id"),
    _text("amount"),
    _int("created_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_allocation_invoice", "invoice_id"),
    sa.Index("billhook_allocation_credit_note", "credit_note_id"),
)

# A row exists only while something is to be done. state: 0 ready, 1 claimed by an operation, 2 waiting for another item.
work = _table(
    "work",
    _text("item_id"),
    _text("operation"),
    _text("app_id"),
    _text("subject_id"),
    _int("state"),
    _int("lane"),
    _int("due"),
    _int("version", default=0),
    _int("attempts", default=0),
    _int("alone", default=0),
    _text("waits_for", null=True),
    _text("operation_id", null=True),
    _int("give_up_at", null=True),
    sa.PrimaryKeyConstraint("item_id", "operation", "app_id"),
    # Ends with the item, so that what came at one moment is read in order and not sorted, however much of it there is.
    sa.Index("billhook_work_due", "app_id", "state", "operation", "lane", "due", "item_id"),
    sa.Index("billhook_work_subject", "subject_id"),
    sa.Index("billhook_work_waits_for", "waits_for"),
    clustered=True,
)

operation = _table(
    "operation",
    _text("id"),
    _text("app_id"),
    _text("name"),
    _text("status"),
    _text("plugin_version"),
    _bytes("frozen"),
    _int("due", null=True),
    _text("reason", null=True),
    _int("faults", default=0),
    _int("created_at"),
    _int("settled_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_operation_open", "app_id", "status", "due"),
)

# One step of an operation: the frozen request, how often it was sent, and what came back.
attempt = _table(
    "attempt",
    _text("id"),
    _text("operation_id"),
    _int("ordinal"),
    _text("step"),
    _text("status"),
    _text("key", null=True),
    _text("digest"),
    _bytes("request"),
    _bytes("body"),
    _int("effectful"),
    _int("sends"),
    _int("unknown", default=0),
    _int("ever_unknown", default=0),
    _int("burnt", default=0),
    _int("first_sent_at", null=True),
    _int("deadline", null=True),
    _text("looked", default="{}"),
    _text("verdict", null=True),
    _int("reply_status", null=True),
    _text("reply_headers", null=True),
    _bytes("reply_body", null=True),
    _text("reply_source", null=True),
    _int("packed", default=0),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_attempt_operation", "operation_id", "ordinal"),
)

late_reply = _table(
    "late_reply",
    _text("id"),
    _text("attempt_id"),
    _int("received_at"),
    _int("status"),
    _bytes("body"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_late_reply_attempt", "attempt_id"),
)

# Append only. Folding the changes of a document's events in the order of their versions gives its row.
event = _table(
    "event",
    _text("document_id"),
    _int("version"),
    _int("at"),
    _text("cause"),
    _text("hops", null=True),
    _text("changes"),
    _text("operation_id", null=True),
    _text("note", null=True),
    sa.PrimaryKeyConstraint("document_id", "version"),
    clustered=True,
)

# A command that came while an attempt was open; applied, in order, when it is settled.
pending_command = _table(
    "pending_command",
    _text("id"),
    _text("invoice_id"),
    _text("command"),
    _bytes("arguments"),
    _int("created_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_pending_command_invoice", "invoice_id", "id"),
)

# A caller's confirmation of a sync pause, bound to the revision it confirms.
confirmation = _table(
    "confirmation",
    _text("invoice_id"),
    _text("stage"),
    _int("revision"),
    _text("content"),
    _int("at"),
    sa.PrimaryKeyConstraint("invoice_id", "stage", "revision"),
)

# What a host wants to remember of an invoice. No revision, no trigger: nothing here reads it.
invoice_annotation = _table(
    "invoice_annotation",
    _text("invoice_id"),
    _text("name"),
    _text("value"),
    _int("at"),
    sa.PrimaryKeyConstraint("invoice_id", "name"),
    clustered=True,
)

inbox = _table(
    "inbox",
    _text("app_id"),
    _text("event_id"),
    _text("kind"),
    _text("external_id"),
    _text("type"),
    _text("details", default="{}"),
    _text("state"),
    _int("received_at"),
    _text("matched_id", null=True),
    sa.PrimaryKeyConstraint("app_id", "event_id"),
    sa.Index("billhook_inbox_unmatched", "app_id", "state", "external_id"),
)

sequence = _table(
    "sequence",
    _text("namespace"),
    _text("series"),
    _int("next_value"),
    sa.PrimaryKeyConstraint("namespace", "series"),
    clustered=True,
)

# Every number of a gapless series that was ever taken, and by what. cancelled: its document was voided or deleted.
taken_number = _table(
    "taken_number",
    _text("namespace"),
    _text("series"),
    _int("sequence"),
    _text("number"),
    _text("document_id"),
    _int("cancelled", default=0),
    _int("at"),
    sa.PrimaryKeyConstraint("namespace", "series", "sequence"),
    sa.Index("billhook_taken_number_document", "document_id"),
    clustered=True,
)

number_series = _table(
    "number_series",
    _text("namespace"),
    _text("name"),
    _text("body"),
    sa.PrimaryKeyConstraint("namespace", "name"),
)

# Who may call over a network. Of the token itself only a digest is kept.
api_token = _table(
    "api_token",
    _text("id"),
    _text("namespace"),
    _text("role"),
    _text("name", null=True),
    _text("digest"),
    _int("created_at"),
    _int("revoked_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_api_token_namespace", "namespace", "id"),
)

# Where notifications go. Its signing secret and headers are a credential of the same id.
notification_channel = _table(
    "notification_channel",
    _text("id"),
    _text("namespace"),
    _text("name"),
    _text("url"),
    _int("disabled", default=0),
    _text("disabled_reason", null=True),
    _text("metadata", default="{}"),
    _int("created_at"),
    _int("updated_at"),
    _int("deleted_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_notification_channel_namespace", "namespace", "id"),
)

notification_rule = _table(
    "notification_rule",
    _text("id"),
    _text("namespace"),
    _text("type"),
    _text("name"),
    _int("disabled", default=0),
    _text("metadata", default="{}"),
    _int("created_at"),
    _int("updated_at"),
    _int("deleted_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_notification_rule_namespace", "namespace", "id"),
)

# Which channels a rule notifies, in the order in which they were given.
notification_subscription = _table(
    "notification_subscription",
    _text("rule_id"),
    _text("channel_id"),
    _int("place"),
    sa.PrimaryKeyConstraint("rule_id", "channel_id"),
    sa.Index("billhook_notification_subscription_channel", "channel_id"),
    clustered=True,
)

# One invoice's step as one rule tells it: after which hop of which version, and as what its app knew it. The rest of what is told is read
# from the invoice's events and revisions. Without a document it is a test.
notification_event = _table(
    "notification_event",
    _text("id"),
    _text("namespace"),
    _text("rule_id"),
    _text("type"),
    _text("document_id", null=True),
    _int("version", default=0),
    _int("hop", default=0),
    _text("link", null=True),
    _int("created_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_notification_event_namespace", "namespace", "id"),
    sa.Index("billhook_notification_event_created_at", "created_at"),
)

# An event on its way to a channel. due: when it is sent next, None when it is not.
notification_delivery = _table(
    "notification_delivery",
    _text("event_id"),
    _text("channel_id"),
    _text("state"),
    _text("reason", default=""),
    _int("tries", default=0),
    _int("version", default=0),
    _int("due", null=True),
    _int("updated_at"),
    sa.PrimaryKeyConstraint("event_id", "channel_id"),
    sa.Index("billhook_notification_delivery_due", "channel_id", "due", "event_id"),
    clustered=True,
)

notification_attempt = _table(
    "notification_attempt",
    _text("event_id"),
    _text("channel_id"),
    _int("ordinal"),
    _int("at"),
    _text("state"),
    _int("status_code", null=True),
    _text("body"),
    _int("duration_ms"),
    _text("url"),
    sa.PrimaryKeyConstraint("event_id", "channel_id", "ordinal"),
    clustered=True,
)

# Who is sending to a channel, and when something is due there. failing_since: nothing has arrived from then on.
notification_lane = _table(
    "notification_lane",
    _text("channel_id"),
    _int("next_due", null=True),
    _text("owner", null=True),
    _int("fence", default=0),
    _int("expires_at", null=True),
    _int("failing_since", null=True),
    sa.PrimaryKeyConstraint("channel_id"),
    sa.Index("billhook_notification_lane_due", "next_due"),
    clustered=True,
)

"""The tables, the same on SQLite and PostgreSQL.

Only three kinds of column: text, whole numbers and bytes. A time is microseconds since the epoch, UTC. An amount is decimal text, so that
no digit depends on the store. JSON is text or bytes that only we read. Every table that a host can reach carries its namespace.
"""

from __future__ import annotations

import sqlalchemy as sa

from billhook.store.columns import TABLES, binary, table, text, whole

metadata = TABLES

app = table(
    "app",
    text("id"),
    text("namespace"),
    text("type"),
    text("name"),
    text("description", null=True),
    text("labels", default="{}"),
    text("status"),
    whole("enabled", default=1),
    text("settings"),
    text("mapping", null=True),
    text("limits", default="{}"),
    text("credential_id", null=True),
    whole("created_at"),
    whole("updated_at"),
    whole("deleted_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_app_namespace", "namespace", "id"),
)

# Who is calling an app, when it wants to be called next, and when for what nobody asked for. Hot, so apart from the app itself.
app_lease = table(
    "app_lease",
    text("app_id"),
    whole("next_due", null=True),
    whole("next_unasked", null=True),
    text("owner", null=True),
    whole("fence", default=0),
    whole("expires_at", null=True),
    whole("throttled_until", null=True),
    whole("failures", default=0),
    whole("circuit_until", null=True),
    sa.PrimaryKeyConstraint("app_id"),
    sa.Index("billhook_app_lease_due", "next_due"),
    sa.Index("billhook_app_lease_unasked", "next_unasked"),
    clustered=True,
)

credential = table(
    "credential",
    text("id"),
    text("namespace"),
    text("provider"),
    whole("version"),
    binary("data"),
    whole("updated_at"),
    whole("expires_at", null=True),
    text("lock_owner", null=True),
    whole("lock_until", null=True),
    sa.PrimaryKeyConstraint("id"),
)

budget = table(
    "budget",
    text("scope"),
    text("limit_name"),
    text("spent"),
    sa.PrimaryKeyConstraint("scope", "limit_name"),
    clustered=True,
)

profile = table(
    "profile",
    text("id"),
    text("namespace"),
    text("name"),
    text("description", null=True),
    whole("is_default", default=0),
    text("supplier"),
    text("workflow"),
    text("tax_app_id"),
    text("invoicing_app_id"),
    text("payment_app_id"),
    text("metadata", default="{}"),
    whole("created_at"),
    whole("updated_at"),
    whole("deleted_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_profile_namespace", "namespace", "id"),
)

customer = table(
    "customer",
    text("id"),
    text("namespace"),
    text("key", null=True),
    text("name"),
    text("description", null=True),
    text("party"),
    text("currency", null=True),
    text("metadata", default="{}"),
    whole("revision", default=1),
    whole("created_at"),
    whole("updated_at"),
    whole("deleted_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("namespace", "key", name="billhook_customer_key"),
)

# By which words lists find a customer: one row for its name, its key, its address and each subject, as they are and without case.
customer_word = table(
    "customer_word",
    text("customer_id"),
    text("field"),
    whole("place"),
    text("word"),
    text("folded"),
    sa.PrimaryKeyConstraint("customer_id", "field", "place"),
    clustered=True,
)

customer_override = table(
    "customer_override",
    text("customer_id"),
    text("namespace"),
    text("profile_id", null=True),
    text("workflow", null=True),
    whole("created_at"),
    whole("updated_at"),
    sa.PrimaryKeyConstraint("customer_id"),
    sa.Index("billhook_customer_override_profile", "profile_id"),
)

# A customer as one app knows it. synced_revision: which revision of the customer the provider holds.
customer_link = table(
    "customer_link",
    text("customer_id"),
    text("app_id"),
    whole("synced_revision", null=True),
    text("external_id", null=True),
    text("payment_method", null=True),
    text("app_data", default="{}"),
    text("leftovers", default="{}"),
    text("failure", null=True),
    sa.PrimaryKeyConstraint("customer_id", "app_id"),
    sa.Index("billhook_customer_link_external", "app_id", "external_id"),
    clustered=True,
)

gathering = table(
    "gathering",
    text("id"),
    text("namespace"),
    text("customer_id"),
    text("currency"),
    text("number"),
    whole("created_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.UniqueConstraint("namespace", "customer_id", "currency", name="billhook_gathering_pool"),
)

pending_line = table(
    "pending_line",
    text("id"),
    text("namespace"),
    text("gathering_id"),
    whole("invoice_at"),
    binary("body"),
    whole("created_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_pending_line_due", "gathering_id", "invoice_at"),
)

# The invoice row is the workflow: where it stands, what was confirmed for which revision, and the money so far.
invoice = table(
    "invoice",
    text("id"),
    text("namespace"),
    text("client_key", null=True),
    text("draft_hash"),
    text("state"),
    whole("version"),
    whole("revision"),
    text("customer_id"),
    text("profile_id"),
    text("tax_app_id"),
    text("invoicing_app_id"),
    text("payment_app_id"),
    text("currency"),
    text("number"),
    whole("number_final", default=0),
    text("total"),
    text("amount_paid"),
    text("amount_credited"),
    text("amount_refunded"),
    whole("auto_advance"),
    text("collection_method"),
    text("draft_period"),
    text("due_after"),
    whole("overdue_after_due", default=0),
    whole("mirrored", default=0),
    whole("own_customer", default=0),
    whole("stated_issued_at", null=True),
    whole("stated_due_at", null=True),
    whole("asks_tax", default=0),
    whole("asks_send", default=0),
    whole("has_lines", default=1),
    whole("critical_issues", default=0),
    whole("taxed_revision", null=True),
    whole("validated_revision", null=True),
    whole("synced_revision", null=True),
    whole("issued_revision", null=True),
    whole("sent_revision", null=True),
    whole("delete_confirmed", default=0),
    whole("void_confirmed", default=0),
    whole("write_off_confirmed", default=0),
    whole("period_start", null=True),
    whole("collection_at", null=True),
    whole("draft_until", null=True),
    whole("due_at", null=True),
    whole("issued_at", null=True),
    whole("sent_at", null=True),
    whole("overdue_at", null=True),
    whole("quantity_snapshotted_at", null=True),
    whole("voided_at", null=True),
    whole("deleted_at", null=True),
    whole("created_at"),
    whole("updated_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_invoice_namespace", "namespace", "id"),
    sa.Index("billhook_invoice_state", "namespace", "state", "id"),
    sa.Index("billhook_invoice_customer", "customer_id", "id"),
    sa.Index("billhook_invoice_client_key", "namespace", "client_key", unique=True),
    clustered=True,
)

credit_note = table(
    "credit_note",
    text("id"),
    text("namespace"),
    text("client_key", null=True),
    text("draft_hash"),
    text("state"),
    whole("version"),
    text("customer_id"),
    text("invoice_id", null=True),
    text("app_id"),
    text("currency"),
    text("number"),
    whole("number_final", default=0),
    text("total"),
    text("amount_allocated"),
    whole("issued_at", null=True),
    whole("created_at"),
    whole("updated_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_credit_note_namespace", "namespace", "id"),
    sa.Index("billhook_credit_note_invoice", "invoice_id"),
    sa.Index("billhook_credit_note_client_key", "namespace", "client_key", unique=True),
)

# One immutable revision of an invoice's (or credit note's) content.
document_body = table(
    "document_body",
    text("document_id"),
    whole("revision"),
    binary("body"),
    sa.PrimaryKeyConstraint("document_id", "revision"),
)

# Where each line of a revision goes, as it was validated; what is sent later is what was validated.
document_mapping = table(
    "document_mapping",
    text("document_id"),
    whole("revision"),
    text("app_id"),
    binary("lines"),
    sa.PrimaryKeyConstraint("document_id", "revision", "app_id"),
)

# A document, payment or refund as one app knows it.
document_link = table(
    "document_link",
    text("document_id"),
    text("app_id"),
    text("kind"),
    text("external_id", null=True),
    text("payment_external_id", null=True),
    text("number", null=True),
    text("url", null=True),
    text("line_ids", default="{}"),
    text("discount_ids", default="{}"),
    text("leftovers", default="{}"),
    text("evidence", null=True),
    sa.PrimaryKeyConstraint("document_id", "app_id"),
    sa.Index("billhook_document_link_external", "app_id", "external_id"),
    clustered=True,
)

validation_issue = table(
    "validation_issue",
    text("id"),
    text("document_id"),
    text("component"),
    text("severity"),
    text("code", null=True),
    text("message"),
    text("path", null=True),
    text("metadata", default="{}"),
    whole("created_at"),
    whole("superseded_at", null=True),
    whole("dismissed_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_validation_issue_document", "document_id"),
)

payment = table(
    "payment",
    text("id"),
    text("namespace"),
    text("invoice_id"),
    text("app_id"),
    text("client_key", null=True),
    text("state"),
    text("amount"),
    text("amount_received"),
    text("amount_to_capture", null=True),
    text("currency"),
    text("origin"),
    text("method", null=True),
    text("external_id", null=True),
    text("action_url", null=True),
    text("code", null=True),
    text("message", null=True),
    whole("received_at", null=True),
    whole("created_at"),
    whole("updated_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_payment_invoice", "invoice_id"),
    sa.Index("billhook_payment_external", "app_id", "external_id"),
    sa.Index("billhook_payment_client_key", "namespace", "client_key", unique=True),
)

refund = table(
    "refund",
    text("id"),
    text("namespace"),
    text("payment_id"),
    text("invoice_id"),
    text("app_id"),
    text("client_key", null=True),
    text("state"),
    text("origin"),
    text("amount"),
    text("currency"),
    text("reason", null=True),
    text("external_id", null=True),
    text("message", null=True),
    whole("created_at"),
    whole("updated_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_refund_invoice", "invoice_id"),
    sa.Index("billhook_refund_external", "app_id", "external_id"),
    sa.Index("billhook_refund_client_key", "namespace", "client_key", unique=True),
)

allocation = table(
    "allocation",
    text("id"),
    text("namespace"),
    text("credit_note_id"),
    text("invoice_id"),
    text("amount"),
    whole("created_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_allocation_invoice", "invoice_id"),
    sa.Index("billhook_allocation_credit_note", "credit_note_id"),
)

# A row exists only while something is to be done. state: 0 ready, 1 claimed by an operation, 2 waiting for another item.
work = table(
    "work",
    text("item_id"),
    text("operation"),
    text("app_id"),
    text("subject_id"),
    whole("state"),
    whole("lane"),
    whole("due"),
    whole("version", default=0),
    whole("attempts", default=0),
    whole("alone", default=0),
    text("waits_for", null=True),
    text("operation_id", null=True),
    whole("give_up_at", null=True),
    sa.PrimaryKeyConstraint("item_id", "operation", "app_id"),
    # Ends with the item, so that what came at one moment is read in order and not sorted, however much of it there is.
    sa.Index("billhook_work_due", "app_id", "state", "operation", "lane", "due", "item_id"),
    sa.Index("billhook_work_subject", "subject_id"),
    sa.Index("billhook_work_waits_for", "waits_for"),
    clustered=True,
)

operation = table(
    "operation",
    text("id"),
    text("app_id"),
    text("name"),
    text("status"),
    text("plugin_version"),
    binary("frozen"),
    whole("due", null=True),
    text("reason", null=True),
    whole("faults", default=0),
    whole("created_at"),
    whole("settled_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_operation_open", "app_id", "status", "due"),
)

# One step of an operation: the frozen request, how often it was sent, and what came back.
attempt = table(
    "attempt",
    text("id"),
    text("operation_id"),
    whole("ordinal"),
    text("step"),
    text("status"),
    text("key", null=True),
    text("digest"),
    binary("request"),
    binary("body"),
    whole("effectful"),
    whole("sends"),
    whole("unknown", default=0),
    whole("ever_unknown", default=0),
    whole("burnt", default=0),
    whole("first_sent_at", null=True),
    whole("deadline", null=True),
    text("looked", default="{}"),
    text("verdict", null=True),
    whole("reply_status", null=True),
    text("reply_headers", null=True),
    binary("reply_body", null=True),
    text("reply_source", null=True),
    whole("packed", default=0),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_attempt_operation", "operation_id", "ordinal"),
)

late_reply = table(
    "late_reply",
    text("id"),
    text("attempt_id"),
    whole("received_at"),
    whole("status"),
    binary("body"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_late_reply_attempt", "attempt_id"),
)

# Append only. Folding the changes of a document's events in the order of their versions gives its row.
event = table(
    "event",
    text("document_id"),
    whole("version"),
    whole("at"),
    text("cause"),
    text("hops", null=True),
    text("changes"),
    text("operation_id", null=True),
    text("note", null=True),
    sa.PrimaryKeyConstraint("document_id", "version"),
    clustered=True,
)

# A command that came while an attempt was open; applied, in order, when it is settled.
pending_command = table(
    "pending_command",
    text("id"),
    text("invoice_id"),
    text("command"),
    binary("arguments"),
    whole("created_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_pending_command_invoice", "invoice_id", "id"),
)

# A caller's confirmation of a sync pause, bound to the revision it confirms.
confirmation = table(
    "confirmation",
    text("invoice_id"),
    text("stage"),
    whole("revision"),
    text("content"),
    whole("at"),
    sa.PrimaryKeyConstraint("invoice_id", "stage", "revision"),
)

# What a host wants to remember of an invoice. No revision, no trigger: nothing here reads it.
invoice_annotation = table(
    "invoice_annotation",
    text("invoice_id"),
    text("name"),
    text("value"),
    whole("at"),
    sa.PrimaryKeyConstraint("invoice_id", "name"),
    clustered=True,
)

inbox = table(
    "inbox",
    text("app_id"),
    text("event_id"),
    text("kind"),
    text("external_id"),
    text("type"),
    text("details", default="{}"),
    text("state"),
    whole("received_at"),
    text("matched_id", null=True),
    sa.PrimaryKeyConstraint("app_id", "event_id"),
    sa.Index("billhook_inbox_unmatched", "app_id", "state", "external_id"),
)

sequence = table(
    "sequence",
    text("namespace"),
    text("series"),
    whole("next_value"),
    sa.PrimaryKeyConstraint("namespace", "series"),
    clustered=True,
)

# Every number of a gapless series that was ever taken, and by what. cancelled: its document was voided or deleted.
taken_number = table(
    "taken_number",
    text("namespace"),
    text("series"),
    whole("sequence"),
    text("number"),
    text("document_id"),
    whole("cancelled", default=0),
    whole("at"),
    sa.PrimaryKeyConstraint("namespace", "series", "sequence"),
    sa.Index("billhook_taken_number_document", "document_id"),
    clustered=True,
)

number_series = table(
    "number_series",
    text("namespace"),
    text("name"),
    text("body"),
    sa.PrimaryKeyConstraint("namespace", "name"),
)

# Who may call over a network. Of the token itself only a digest is kept.
api_token = table(
    "api_token",
    text("id"),
    text("namespace"),
    text("role"),
    text("name", null=True),
    text("digest"),
    whole("created_at"),
    whole("revoked_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_api_token_namespace", "namespace", "id"),
)

# Where notifications go. Its signing secret and headers are a credential of the same id.
notification_channel = table(
    "notification_channel",
    text("id"),
    text("namespace"),
    text("name"),
    text("url"),
    whole("disabled", default=0),
    text("disabled_reason", null=True),
    text("metadata", default="{}"),
    whole("created_at"),
    whole("updated_at"),
    whole("deleted_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_notification_channel_namespace", "namespace", "id"),
)

notification_rule = table(
    "notification_rule",
    text("id"),
    text("namespace"),
    text("type"),
    text("name"),
    whole("disabled", default=0),
    text("metadata", default="{}"),
    whole("created_at"),
    whole("updated_at"),
    whole("deleted_at", null=True),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_notification_rule_namespace", "namespace", "id"),
)

# Which channels a rule notifies, in the order in which they were given.
notification_subscription = table(
    "notification_subscription",
    text("rule_id"),
    text("channel_id"),
    whole("place"),
    sa.PrimaryKeyConstraint("rule_id", "channel_id"),
    sa.Index("billhook_notification_subscription_channel", "channel_id"),
    clustered=True,
)

# One invoice's step as one rule tells it: after which hop of which version, and as what its app knew it. The rest of what is told is read
# from the invoice's events and revisions. Without a document it is a test.
notification_event = table(
    "notification_event",
    text("id"),
    text("namespace"),
    text("rule_id"),
    text("type"),
    text("document_id", null=True),
    whole("version", default=0),
    whole("hop", default=0),
    text("link", null=True),
    whole("created_at"),
    sa.PrimaryKeyConstraint("id"),
    sa.Index("billhook_notification_event_namespace", "namespace", "id"),
    sa.Index("billhook_notification_event_created_at", "created_at"),
)

# An event on its way to a channel. due: when it is sent next, None when it is not.
notification_delivery = table(
    "notification_delivery",
    text("event_id"),
    text("channel_id"),
    text("state"),
    text("reason", default=""),
    whole("tries", default=0),
    whole("version", default=0),
    whole("due", null=True),
    whole("updated_at"),
    sa.PrimaryKeyConstraint("event_id", "channel_id"),
    sa.Index("billhook_notification_delivery_due", "channel_id", "due", "event_id"),
    clustered=True,
)

notification_attempt = table(
    "notification_attempt",
    text("event_id"),
    text("channel_id"),
    whole("ordinal"),
    whole("at"),
    text("state"),
    whole("status_code", null=True),
    text("body"),
    whole("duration_ms"),
    text("url"),
    sa.PrimaryKeyConstraint("event_id", "channel_id", "ordinal"),
    clustered=True,
)

# Who is sending to a channel, and when something is due there. failing_since: nothing has arrived from then on.
notification_lane = table(
    "notification_lane",
    text("channel_id"),
    whole("next_due", null=True),
    text("owner", null=True),
    whole("fence", default=0),
    whole("expires_at", null=True),
    whole("failing_since", null=True),
    sa.PrimaryKeyConstraint("channel_id"),
    sa.Index("billhook_notification_lane_due", "next_due"),
    clustered=True,
)

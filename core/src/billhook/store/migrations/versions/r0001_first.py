"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations

revision = "0001"
down_revision = None


def upgrade(op: Operations) -> None:
    op.create_table(
        "billhook_allocation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("credit_note_id", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_allocation_credit_note", "billhook_allocation", ["credit_note_id"], unique=False)
    op.create_index("billhook_allocation_invoice", "billhook_allocation", ["invoice_id"], unique=False)
    op.create_table(
        "billhook_api_token",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_api_token_namespace", "billhook_api_token", ["namespace", "id"], unique=False)
    op.create_table(
        "billhook_app",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("labels", sa.Text(), server_default="{}", nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("enabled", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("mapping", sa.Text(), nullable=True),
        sa.Column("limits", sa.Text(), server_default="{}", nullable=False),
        sa.Column("credential_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_app_namespace", "billhook_app", ["namespace", "id"], unique=False)
    op.create_table(
        "billhook_app_lease",
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("next_due", sa.BigInteger(), nullable=True),
        sa.Column("next_unasked", sa.BigInteger(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("throttled_until", sa.BigInteger(), nullable=True),
        sa.Column("failures", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("circuit_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("app_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("billhook_app_lease_due", "billhook_app_lease", ["next_due"], unique=False)
    op.create_index("billhook_app_lease_unasked", "billhook_app_lease", ["next_unasked"], unique=False)
    op.create_table(
        "billhook_attempt",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("effectful", sa.BigInteger(), nullable=False),
        sa.Column("sends", sa.BigInteger(), nullable=False),
        sa.Column("unknown", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("ever_unknown", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("burnt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_sent_at", sa.BigInteger(), nullable=True),
        sa.Column("deadline", sa.BigInteger(), nullable=True),
        sa.Column("looked", sa.Text(), server_default="{}", nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("reply_status", sa.BigInteger(), nullable=True),
        sa.Column("reply_headers", sa.Text(), nullable=True),
        sa.Column("reply_body", sa.LargeBinary(), nullable=True),
        sa.Column("reply_source", sa.Text(), nullable=True),
        sa.Column("packed", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_attempt_operation", "billhook_attempt", ["operation_id", "ordinal"], unique=False)
    op.create_table(
        "billhook_budget",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("limit_name", sa.Text(), nullable=False),
        sa.Column("spent", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("scope", "limit_name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "billhook_confirmation",
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("invoice_id", "stage", "revision"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "billhook_credential",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("lock_owner", sa.Text(), nullable=True),
        sa.Column("lock_until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "billhook_credit_note",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("client_key", sa.Text(), nullable=True),
        sa.Column("draft_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=True),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("number_final", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total", sa.Text(), nullable=False),
        sa.Column("amount_allocated", sa.Text(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_credit_note_client_key", "billhook_credit_note", ["namespace", "client_key"], unique=True)
    op.create_index("billhook_credit_note_invoice", "billhook_credit_note", ["invoice_id"], unique=False)
    op.create_index("billhook_credit_note_namespace", "billhook_credit_note", ["namespace", "id"], unique=False)
    op.create_table(
        "billhook_customer",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("party", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), server_default="{}", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("namespace", "key", name="billhook_customer_key"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "billhook_customer_link",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("synced_revision", sa.BigInteger(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("payment_method", sa.Text(), nullable=True),
        sa.Column("app_data", sa.Text(), server_default="{}", nullable=False),
        sa.Column("leftovers", sa.Text(), server_default="{}", nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("customer_id", "app_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "billhook_customer_link_external", "billhook_customer_link", ["app_id", "external_id"], unique=False
    )
    op.create_table(
        "billhook_customer_override",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("profile_id", sa.Text(), nullable=True),
        sa.Column("workflow", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_customer_override_profile", "billhook_customer_override", ["profile_id"], unique=False)
    op.create_table(
        "billhook_customer_word",
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("word", sa.Text(), nullable=False),
        sa.Column("folded", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("customer_id", "field", "place"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "billhook_document_body",
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("document_id", "revision"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "billhook_document_link",
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("payment_external_id", sa.Text(), nullable=True),
        sa.Column("number", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("line_ids", sa.Text(), server_default="{}", nullable=False),
        sa.Column("discount_ids", sa.Text(), server_default="{}", nullable=False),
        sa.Column("leftovers", sa.Text(), server_default="{}", nullable=False),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("document_id", "app_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "billhook_document_link_external", "billhook_document_link", ["app_id", "external_id"], unique=False
    )
    op.create_table(
        "billhook_document_mapping",
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("lines", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("document_id", "revision", "app_id"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "billhook_event",
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("hops", sa.Text(), nullable=True),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.Column("operation_id", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("document_id", "version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "billhook_gathering",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("namespace", "customer_id", "currency", name="billhook_gathering_pool"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "billhook_inbox",
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("details", sa.Text(), server_default="{}", nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("matched_id", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("app_id", "event_id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_inbox_unmatched", "billhook_inbox", ["app_id", "state", "external_id"], unique=False)
    op.create_table(
        "billhook_invoice",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("client_key", sa.Text(), nullable=True),
        sa.Column("draft_hash", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.Text(), nullable=False),
        sa.Column("profile_id", sa.Text(), nullable=False),
        sa.Column("tax_app_id", sa.Text(), nullable=False),
        sa.Column("invoicing_app_id", sa.Text(), nullable=False),
        sa.Column("payment_app_id", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("number_final", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("total", sa.Text(), nullable=False),
        sa.Column("amount_paid", sa.Text(), nullable=False),
        sa.Column("amount_credited", sa.Text(), nullable=False),
        sa.Column("amount_refunded", sa.Text(), nullable=False),
        sa.Column("auto_advance", sa.BigInteger(), nullable=False),
        sa.Column("collection_method", sa.Text(), nullable=False),
        sa.Column("draft_period", sa.Text(), nullable=False),
        sa.Column("due_after", sa.Text(), nullable=False),
        sa.Column("overdue_after_due", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("mirrored", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("own_customer", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stated_issued_at", sa.BigInteger(), nullable=True),
        sa.Column("stated_due_at", sa.BigInteger(), nullable=True),
        sa.Column("asks_tax", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("asks_send", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("has_lines", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("critical_issues", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("taxed_revision", sa.BigInteger(), nullable=True),
        sa.Column("validated_revision", sa.BigInteger(), nullable=True),
        sa.Column("synced_revision", sa.BigInteger(), nullable=True),
        sa.Column("issued_revision", sa.BigInteger(), nullable=True),
        sa.Column("sent_revision", sa.BigInteger(), nullable=True),
        sa.Column("delete_confirmed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("void_confirmed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("write_off_confirmed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("period_start", sa.BigInteger(), nullable=True),
        sa.Column("collection_at", sa.BigInteger(), nullable=True),
        sa.Column("draft_until", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("issued_at", sa.BigInteger(), nullable=True),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("overdue_at", sa.BigInteger(), nullable=True),
        sa.Column("quantity_snapshotted_at", sa.BigInteger(), nullable=True),
        sa.Column("voided_at", sa.BigInteger(), nullable=True),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=False,
    )
    op.create_index("billhook_invoice_client_key", "billhook_invoice", ["namespace", "client_key"], unique=True)
    op.create_index("billhook_invoice_customer", "billhook_invoice", ["customer_id", "id"], unique=False)
    op.create_index("billhook_invoice_namespace", "billhook_invoice", ["namespace", "id"], unique=False)
    op.create_index("billhook_invoice_state", "billhook_invoice", ["namespace", "state", "id"], unique=False)
    op.create_table(
        "billhook_invoice_annotation",
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("invoice_id", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "billhook_late_reply",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_late_reply_attempt", "billhook_late_reply", ["attempt_id"], unique=False)
    op.create_table(
        "billhook_notification_attempt",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("status_code", sa.BigInteger(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("duration_ms", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "channel_id", "ordinal"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "billhook_notification_channel",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("disabled", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("disabled_reason", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index(
        "billhook_notification_channel_namespace", "billhook_notification_channel", ["namespace", "id"], unique=False
    )
    op.create_table(
        "billhook_notification_delivery",
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("tries", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "channel_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "billhook_notification_delivery_due",
        "billhook_notification_delivery",
        ["channel_id", "due", "event_id"],
        unique=False,
    )
    op.create_table(
        "billhook_notification_event",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("hop", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index(
        "billhook_notification_event_created_at", "billhook_notification_event", ["created_at"], unique=False
    )
    op.create_index(
        "billhook_notification_event_namespace", "billhook_notification_event", ["namespace", "id"], unique=False
    )
    op.create_table(
        "billhook_notification_lane",
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("next_due", sa.BigInteger(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("channel_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("billhook_notification_lane_due", "billhook_notification_lane", ["next_due"], unique=False)
    op.create_table(
        "billhook_notification_rule",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("disabled", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("metadata", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index(
        "billhook_notification_rule_namespace", "billhook_notification_rule", ["namespace", "id"], unique=False
    )
    op.create_table(
        "billhook_notification_subscription",
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "channel_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "billhook_notification_subscription_channel", "billhook_notification_subscription", ["channel_id"], unique=False
    )
    op.create_table(
        "billhook_number_series",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "name"),
        sqlite_with_rowid=True,
    )
    op.create_table(
        "billhook_operation",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("plugin_version", sa.Text(), nullable=False),
        sa.Column("frozen", sa.LargeBinary(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("faults", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_operation_open", "billhook_operation", ["app_id", "status", "due"], unique=False)
    op.create_table(
        "billhook_payment",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("client_key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("amount_received", sa.Text(), nullable=False),
        sa.Column("amount_to_capture", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("action_url", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_payment_client_key", "billhook_payment", ["namespace", "client_key"], unique=True)
    op.create_index("billhook_payment_external", "billhook_payment", ["app_id", "external_id"], unique=False)
    op.create_index("billhook_payment_invoice", "billhook_payment", ["invoice_id"], unique=False)
    op.create_table(
        "billhook_pending_command",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("arguments", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_pending_command_invoice", "billhook_pending_command", ["invoice_id", "id"], unique=False)
    op.create_table(
        "billhook_pending_line",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("gathering_id", sa.Text(), nullable=False),
        sa.Column("invoice_at", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_pending_line_due", "billhook_pending_line", ["gathering_id", "invoice_at"], unique=False)
    op.create_table(
        "billhook_profile",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("is_default", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("supplier", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("tax_app_id", sa.Text(), nullable=False),
        sa.Column("invoicing_app_id", sa.Text(), nullable=False),
        sa.Column("payment_app_id", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("deleted_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_profile_namespace", "billhook_profile", ["namespace", "id"], unique=False)
    op.create_table(
        "billhook_refund",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("payment_id", sa.Text(), nullable=False),
        sa.Column("invoice_id", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("client_key", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("amount", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_refund_client_key", "billhook_refund", ["namespace", "client_key"], unique=True)
    op.create_index("billhook_refund_external", "billhook_refund", ["app_id", "external_id"], unique=False)
    op.create_index("billhook_refund_invoice", "billhook_refund", ["invoice_id"], unique=False)
    op.create_table(
        "billhook_sequence",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("next_value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "series"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "billhook_taken_number",
        sa.Column("namespace", sa.Text(), nullable=False),
        sa.Column("series", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("cancelled", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("namespace", "series", "sequence"),
        sqlite_with_rowid=False,
    )
    op.create_index("billhook_taken_number_document", "billhook_taken_number", ["document_id"], unique=False)
    op.create_table(
        "billhook_validation_issue",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("document_id", sa.Text(), nullable=False),
        sa.Column("component", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("metadata", sa.Text(), server_default="{}", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("superseded_at", sa.BigInteger(), nullable=True),
        sa.Column("dismissed_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_with_rowid=True,
    )
    op.create_index("billhook_validation_issue_document", "billhook_validation_issue", ["document_id"], unique=False)
    op.create_table(
        "billhook_work",
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("state", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("alone", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("waits_for", sa.Text(), nullable=True),
        sa.Column("operation_id", sa.Text(), nullable=True),
        sa.Column("give_up_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("item_id", "operation", "app_id"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "billhook_work_due", "billhook_work", ["app_id", "state", "operation", "lane", "due", "item_id"], unique=False
    )
    op.create_index("billhook_work_subject", "billhook_work", ["subject_id"], unique=False)
    op.create_index("billhook_work_waits_for", "billhook_work", ["waits_for"], unique=False)

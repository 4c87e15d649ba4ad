"""A workflow on the wire: how invoices are collected, advanced, taxed and paid."""

from __future__ import annotations

from typing import Any

from billhook.domain.period import format_duration
from billhook.domain.workflow import WorkflowConfig
from billhook.server.v1.shown import filled, moment
from billhook.server.v1.tax_wire import tax_config_v1


def workflow_v1(workflow: WorkflowConfig) -> dict[str, Any]:
    """The whole workflow; nothing is left to a default."""
    return {
        "collection": {"alignment": _alignment(workflow), "interval": format_duration(workflow.collection_interval)},
        "invoicing": _invoicing(workflow),
        "payment": {"collectionMethod": workflow.collection_method.value},
        "tax": {"enabled": workflow.tax_enabled, "enforced": workflow.tax_enforced},
    }


def _invoicing(workflow: WorkflowConfig) -> dict[str, Any]:
    taxes = workflow.default_tax_config
    return filled(
        autoAdvance=workflow.auto_advance,
        draftPeriod=format_duration(workflow.draft_period),
        dueAfter=format_duration(workflow.due_after),
        progressiveBilling=workflow.progressive_billing,
        subscriptionEndProrationMode=workflow.subscription_end_proration_mode.value,
        defaultTaxConfig=None if taxes is None else tax_config_v1(taxes),
    )


def _alignment(workflow: WorkflowConfig) -> dict[str, Any]:
    anchor = workflow.collection_anchor
    if anchor is None:
        return {"type": "subscription"}
    recurring = {"interval": format_duration(anchor.interval), "anchor": moment(anchor.anchor)}
    return {"type": "anchored", "recurringPeriod": recurring}

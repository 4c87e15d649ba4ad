"""The sandbox's provider as it was written for contract 1.0. It is kept as it is, whatever the contract becomes, because others are like it."""

from __future__ import annotations

from sandbox_of_contract_1_0.provider import SandboxProvider

__all__ = ["SandboxProvider"]

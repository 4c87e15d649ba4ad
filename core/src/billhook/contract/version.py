"""The version of the plugin contract that this core speaks.

A provider names the version it was written for as ``MAJOR.MINOR``. It loads when its major equals ours and its minor is not above ours.
A minor adds (a hook, an argument, an optional member); a major removes or requires.
"""

from __future__ import annotations

from dataclasses import dataclass

from billhook.errors import ContractViolation


@dataclass(frozen=True, order=True, slots=True)
class ContractVersion:
    """``MAJOR.MINOR`` of the contract."""

    major: int
    minor: int

    @classmethod
    def parse(cls, text: str) -> ContractVersion:
        """Read ``"1.0"``. Raises ContractViolation when it is not two whole numbers with a dot between."""
        major, dot, minor = text.partition(".")
        if not (dot and major.isdigit() and minor.isdigit()):
            raise ContractViolation(f"The contract version {text!r} is not of the form MAJOR.MINOR, such as {CURRENT}.")
        return cls(int(major), int(minor))

    def accepts(self, plugin: ContractVersion) -> bool:
        """Whether a plugin written for ``plugin`` runs on a core that speaks this version."""
        return plugin.major == self.major and plugin.minor <= self.minor

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


CURRENT = ContractVersion(1, 1)

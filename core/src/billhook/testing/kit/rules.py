"""The rules of the plugin contract that checks stand for, each in the words of what it protects."""

from __future__ import annotations

from enum import StrEnum


class Rule(StrEnum):
    """One rule. Its value is the sentence that a report shows."""

    FREEZE = "An operation reads its batch and nothing else."
    NO_CREDENTIALS = "Credentials are added when sending, and stand nowhere else."
    CLASSIFY = "Only an answer is believed; an error, a refusal for now and an unreadable body are none."
    KEYS = "The engine owns the keys: a request is done once, however often it is sent."
    RECOVERY = "Every request that changes something says how its outcome is learnt when no answer comes."
    BATCHES = "Outcomes go by item, and of a batch that was partly done only the rest is done again."
    REPLAY = "A replay asks the same, byte for byte in meaning, wherever and whenever it runs."
    LEFTOVERS = "What an unfinished operation left behind is where the next one starts."
    PARKING = "An operation that waits holds nothing: no state on the provider, nothing between two yields."
    LATE = "A request that arrives late does no harm."
    EVENTS = "A webhook is verified, names what changed, and counts once."
    EXACT = "Money arrives to the cent, and documents exactly once."
    LOAD = "A provider is described without running it, and does what it declares."
    REFUSALS = "What the system refuses is told as refused, with its reason, and a charge that fails is no payment."
    PREVIEW = "A preview shows what would be sent, and changes nothing."

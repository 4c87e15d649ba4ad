"""What caused an event, as the beginning of a sentence for a person."""

from __future__ import annotations

from collections.abc import Mapping

_WHOLE: Mapping[str, str] = {
    "created": "The invoice was created",
    "validated": "It was validated",
    "validation_failed": "It can't be sent as it is",
    "time_passed": "Its time came",
    "due_date_passed": "The due date passed",
    "paid_in_full": "Nothing is left to pay",
    "payment_under_way": "A payment is under way already",
    "advance": "It was told to go on",
    "approve": "It was approved",
    "record_payment.entered": "Its books show a payment that they had refused to note",
    "retry": "A retry was asked for",
    "retry.customer": "A retry took over what was changed at its customer",
    "retry.mapping": "A retry mapped its lines anew",
    "update": "It was edited",
    "delete": "Its deletion was asked for",
    "void": "It was made void",
    "void.again": "Its app is asked again to void it",
    "snapshot_quantities": "Its quantities were taken before their time",
    "erased": "Personal data of the customer were erased",
    "credit.noted": "It was noted: it stands at its app already",
    "credit_note.begun": "A credit note of it is to be issued",
    "credit_note.allocated": "A credit note was put against it",
    "payment.recorded": "A payment was noted",
    "payment.outside": "A payment came in elsewhere",
    "payment.taken_back": "A payment that was noted by mistake was taken back",
    "owed_again": "Something is owed again",
    "owed_otherwise": "What is owed changed",
    "refund.requested": "A refund was asked for",
    "refund.outside": "Money was given back at the provider",
    "issue.gone": "What was issued there with other amounts is gone, so it is issued anew",
    "refund.came_back": "Money that was given back at the provider came back",
    "refund.recorded": "Money that was paid back another way was noted",
    "refund.entered": "Its books show money given back that they had not known of",
    "issue.dismissed": "A person has dealt with a warning",
    "refund.taken_back": "A refund that was noted by mistake was taken back",
    "capture_payment.requested": "A capture was asked for",
    "cancel_payment.requested": "The payment's end was asked for",
}
_ENDINGS: Mapping[str, str] = {
    "done": "{what} is done",
    "pending": "{what} is under way",
    "rejected": "{what} was refused",
    "in_doubt": "It is not known whether {what} was done",
    "recorded": "The command {what} waits for the operation under way",
    "refused": "The command {what} is no longer possible",
    "found": "An operator found {what} done",
    "absent": "An operator found {what} not done",
    "look_again": "An operator had {what} looked up again",
}
_NOT_NEEDED = "_not_needed"


def phrase_of(cause: str) -> str:
    """The cause in words; a cause without words of its own speaks for itself."""
    if cause in _WHOLE:
        return _WHOLE[cause]
    if cause.endswith(_NOT_NEEDED):
        return f"{cause.removesuffix(_NOT_NEEDED)} is not needed here"
    what, _, ending = cause.rpartition(".")
    return _ENDINGS.get(ending, "{what}: {ending}").format(what=what, ending=ending) if what else cause

"""What nobody knows: outcomes that a person looks up at the provider, and then settles."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from billhook.engine.doubted import DoubtedItem
from billhook.errors import InvalidInput
from billhook.server.access import Integrating, Reading
from billhook.server.v1.wire import NO_CONTENT, UlidPath, nothing, reply
from billhook.server.v3.wire import WireModel

router = APIRouter(prefix="/doubts", tags=["Doubts"])

Text = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]*$")]


class Step(WireModel):
    """One request that was sent. ``key`` is the idempotency key that it carried."""

    step: str
    method: str
    url: str
    key: str | None = None
    sends: int
    first_sent_at: AwareDatetime | None = None
    reply_status: int | None = None


class Doubt(WireModel):
    """One outcome that nobody knows: of an invoice, a credit note, a payment, a refund or a customer."""

    document_id: str
    subject_id: Annotated[str, Field(description="The invoice that a payment or refund belongs to, else the same.")]
    app_id: str
    operation: str
    reason: str
    since: AwareDatetime
    steps: list[Step]


class Doubts(WireModel):
    """Everything that is in doubt, the oldest first."""

    data: list[Doubt]


class Answer(WireModel):
    """What was found at the provider. ``found`` needs its id there; ``absent``: it is done anew; ``look_again``: the engine looks once more."""

    answer: Literal["found", "absent", "look_again"]
    external_id: Text | None = None
    number: Text | None = None
    operation: Annotated[Text | None, Field(description="Which, of several doubts of one document.")] = None
    by: Text | None = None
    note: Text | None = None

    def check(self) -> None:
        """Raise InvalidInput where an id is missing, or is given for what is not there."""
        if (self.answer == "found") is (self.external_id is None):
            raise InvalidInput(
                "external_id_misplaced",
                'Give the provider\'s id as external_id with "found", and with nothing else.',
                "/external_id",
            )


@router.get("", response_model=Doubts)
def list_doubts(billing: Reading) -> Response:
    """Outcomes that nobody knows, with what was sent, when, and under which key."""
    return reply(Doubts(data=[_shown(doubt) for doubt in billing.doubts.list()]))


@router.post("/{document_id}/resolve", status_code=NO_CONTENT)
def resolve(billing: Integrating, document_id: UlidPath, said: Answer) -> Response:
    """Say what you found at the provider, and the work goes on from there. ``found`` counts once the provider shows the same."""
    said.check()
    billing.doubts.resolve(
        document_id,
        found=said.external_id,
        number=said.number,
        absent=said.answer == "absent",
        look_again=said.answer == "look_again",
        operation=said.operation,
        by=said.by,
        note=said.note,
    )
    return nothing()


def _shown(doubt: DoubtedItem) -> Doubt:
    steps = [Step(**{name: getattr(step, name) for name in Step.model_fields}) for step in doubt.steps]
    facts = {name: getattr(doubt, name) for name in Doubt.model_fields if name != "steps"}
    return Doubt(**facts, steps=steps)

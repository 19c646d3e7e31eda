"""Every answer of the playground becomes a trace, whole, stopped or failed."""

from __future__ import annotations

from collections.abc import Sequence

from apps.chat.models import ChatMessage
from apps.chat.services import Draft
from apps.traces import services as traces
from apps.traces.models import Trace
from kos.events import RolloutDone, to_json
from kos.harness.events import TurnDone
from kos.harness.record import rollout_of
from kos.messages import Message

# Sent although the reader was warned that it may tell who a patient is.
IDENTIFIERS = "identifiers"


def record_trace(
    answer_id: int, messages: Sequence[Message], done: TurnDone | Draft, *, error: str = ""
) -> Trace | None:
    """Keep an answer among the traces of the run that served it; None when that is gone."""
    answer = ChatMessage.objects.select_related("deployment__run", "parent").get(pk=answer_id)
    deployment = answer.deployment
    if deployment is None:
        return None
    place = f"chat-{answer_id}"
    if isinstance(done, TurnDone):
        rollout = rollout_of(done, messages, model=deployment.name, example_id=place)
    else:
        rollout = _cut_short(answer, messages, model=deployment.name, error=error)
    data = to_json(rollout)
    if not isinstance(done, TurnDone):
        data["tools"] = [tool for tool in answer.tools if "seconds" in tool]
        data["sources"] = answer.sources
    if answer.parent is not None and answer.parent.identifiers:
        data["flags"] = [*data["flags"], IDENTIFIERS]
    (trace,) = traces.record(
        deployment.run, deployment.run.attempt, [data], origin=Trace.Origin.CHAT
    )
    ChatMessage.objects.filter(pk=answer_id).update(trace=trace)
    return trace


def _cut_short(
    answer: ChatMessage, messages: Sequence[Message], *, model: str, error: str
) -> RolloutDone:
    """An answer that was stopped, or failed, as far as it came."""
    return RolloutDone(
        model=model,
        example_id=f"chat-{answer.pk}",
        sample=0,
        messages=tuple({"role": message.role, "content": message.content} for message in messages),
        answer=answer.content,
        thinking=answer.thinking,
        raw="",
        num_tokens=answer.num_tokens,
        num_answer_tokens=0,
        stop_reason=answer.status,
        items=(),
        score=None,
        error=error,
    )

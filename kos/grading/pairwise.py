"""Which of two answers is better, asked in both orders: a judge that flips has not decided."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Literal, NamedTuple

from kos.data.rubrics import RubricItem
from kos.grading.base import Submission
from kos.grading.endpoint import Endpoint, NoReplyError
from kos.grading.wording import UnreadableError, read_object

Preference = Literal["first", "second", "tie"]

SYSTEM = "You compare two answers to a health question. You decide only what you are asked."
QUESTION = """\
<conversation>
{conversation}
</conversation>

<answer_a>
{a}
</answer_a>

<answer_b>
{b}
</answer_b>

Compare the answers by these criteria alone; length by itself is no merit:
{criteria}

Reply with one JSON object and nothing else:
{{"explanation": "<one or two sentences>", "better": "a", "b" or "tie"}}"""


class Comparison(NamedTuple):
    """``preference`` is None when no reply could be read; ``is_flipped``: order decided it."""

    preference: Preference | None
    is_flipped: bool
    explanation: str


async def compare(
    endpoint: Endpoint, first: Submission, second: Submission, criteria: Sequence[RubricItem]
) -> Comparison:
    """Ask which of two answers to the same conversation is better, each being A once.

    Two replies that contradict each other are a tie (Zheng et al., arXiv:2306.05685, sec. 3.4).
    """
    try:
        forth, back = await asyncio.gather(
            _ask(endpoint, first, second, criteria), _ask(endpoint, second, first, criteria)
        )
    except (NoReplyError, UnreadableError) as error:
        return Comparison(None, False, str(error))
    seen = {"a": "first", "b": "second", "tie": "tie"}[forth[0]]
    mirrored = {"a": "second", "b": "first", "tie": "tie"}[back[0]]
    is_flipped = "tie" not in (seen, mirrored) and seen != mirrored
    if seen == mirrored:
        preference: Preference = seen  # type: ignore[assignment]  # a value of the table above
    else:
        preference = "tie"
    return Comparison(preference, is_flipped, forth[1])


async def _ask(
    endpoint: Endpoint, a: Submission, b: Submission, criteria: Sequence[RubricItem]
) -> tuple[str, str]:
    question = QUESTION.format(
        conversation="\n\n".join(f"{role}: {text}" for role, text in a.messages),
        a=a.answer,
        b=b.answer,
        criteria="\n".join(f"- {item.text}" for item in criteria),
    )
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
    found = read_object((await endpoint.ask(messages)).text)
    better = str(found.get("better", "")).lower()
    if better not in ("a", "b", "tie"):
        raise UnreadableError(f"better is {better!r}, not a, b or tie")
    return better, str(found.get("explanation") or "")

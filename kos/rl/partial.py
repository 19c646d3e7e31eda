"""Answers in the making: drawn a piece an iteration, the oldest first (partial rollouts).

Source: Kimi k1.5 (arXiv:2501.12599), sec. 2.6.2: an answer that meets the budget of output
tokens is put by and goes on in the next iteration, under the weights of that time. What an
earlier policy said stays as it is; ``kos.rl.rollouts`` keeps it out of the loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kos.engine.base import OnProgress, Sampled, SamplingParams
from kos.engine.stops import Decode, cut_early
from kos.rl.policy import Policy
from kos.rl.rollouts import Segment


@dataclass(frozen=True)
class Draft:
    """One answer so far; ``stop_reason`` is empty while it is not whole."""

    segments: tuple[Segment, ...] = ()
    stop_reason: str = ""

    @property
    def so_far(self) -> Sampled:
        """All of it as one piece."""
        return Sampled(
            tuple(token for segment in self.segments for token in segment.tokens),
            tuple(logprob for segment in self.segments for logprob in segment.logprobs),
            "length",
        )


@dataclass(frozen=True)
class Pending:
    """The answers to one prompt, some of which are not whole.

    ``params`` are those of the whole answers: an answer ends as it would have in one go, so its
    temperature stays what it was when its prompt was picked, in iteration ``begun``.
    """

    task_id: str
    prompt: tuple[int, ...]
    params: SamplingParams
    begun: int
    drafts: tuple[Draft, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the group can be compared."""
        return all(draft.stop_reason for draft in self.drafts)

    @property
    def unfinished(self) -> list[int]:
        """Places of the answers that must go on."""
        return [place for place, draft in enumerate(self.drafts) if not draft.stop_reason]


@dataclass(frozen=True)
class Drawn:
    """The groups one step further, and the prompt tokens that were read for that."""

    groups: list[Pending]
    num_read: int


def begin(
    groups: Sequence[Pending],
    policy: Policy,
    *,
    budget: int,
    decode: Decode,
    on_progress: OnProgress | None = None,
) -> Drawn:
    """Draw the first tokens of every answer: at most ``budget`` each; 0 draws them whole."""
    if not groups:
        return Drawn([], 0)
    params = [
        replace(group.params, max_tokens=_allowed(group, Draft(), budget)) for group in groups
    ]
    answers = policy.sample(
        [group.prompt for group in groups],
        params,
        num_samples=len(groups[0].drafts),
        on_progress=on_progress,
    )
    drawn = [
        replace(
            group,
            drafts=tuple(
                _grown(group, Draft(), cut_early(answer, one, decode), policy.version)
                for answer in row
            ),
        )
        for group, one, row in zip(groups, params, answers, strict=True)
    ]
    # The samples of a prompt share its reading.
    return Drawn(drawn, sum(len(group.prompt) for group in groups))


def go_on(
    groups: Sequence[Pending],
    policy: Policy,
    *,
    budget: int,
    decode: Decode,
    on_progress: OnProgress | None = None,
) -> Drawn:
    """Draw the next tokens of every answer that is not whole, read anew under today's weights."""
    places = [(group, place) for group in groups for place in group.unfinished]
    if not places:
        return Drawn(list(groups), 0)
    prompts, params = [], []
    for group, place in places:
        draft = group.drafts[place]
        prompts.append(group.prompt + draft.so_far.tokens)
        params.append(
            replace(
                group.params,
                max_tokens=_allowed(group, draft, budget),
                after=draft.so_far,
                first_sample=place,
            )
        )
    answers = policy.sample(prompts, params, num_samples=1, on_progress=on_progress)
    grown = {
        (id(group), place): _grown(
            group, group.drafts[place], cut_early(row[0], one, decode), policy.version
        )
        for (group, place), one, row in zip(places, params, answers, strict=True)
    }
    drawn = [
        replace(
            group,
            drafts=tuple(
                grown.get((id(group), place), draft) for place, draft in enumerate(group.drafts)
            ),
        )
        for group in groups
    ]
    return Drawn(drawn, sum(map(len, prompts)))


def _allowed(group: Pending, draft: Draft, budget: int) -> int:
    left = group.params.max_tokens - len(draft.so_far.tokens)
    return min(left, budget) if budget else left


def _grown(group: Pending, draft: Draft, answer: Sampled, version: int) -> Draft:
    """The draft with one more segment; it is whole unless only the budget stopped it."""
    segments = (*draft.segments, Segment(answer.tokens, answer.logprobs, version))
    num_tokens = sum(len(segment.tokens) for segment in segments)
    is_cut = answer.stop_reason == "length" and num_tokens < group.params.max_tokens
    return Draft(segments, "" if is_cut else answer.stop_reason)

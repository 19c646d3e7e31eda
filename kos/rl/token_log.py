"""Token-level log-probabilities of the last steps' rollouts, for the run's page.

``tokens/<step>.jsonl`` in the run's folder has a line a rollout: ``example_id``, ``sample``,
``advantage``, and lists as long as the answer: ``pieces`` (each token's text; empty for a
restricted dataset, whose words never leave it), ``sampled`` and ``trained`` (log-probabilities of
sampler and trainer; null in ``trained`` where a token was not learnt from), ``versions`` (of the
policy that drew it).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kos.engine.models import Chat
from kos.files import replace_when_whole
from kos.rl.rollouts import Group, OldSegments, Rollout
from kos.rl.updates import Learnt

FOLDER = "tokens"


@dataclass(frozen=True)
class TokenLog:
    """Writes the files; only those of the last ``keep`` steps stay."""

    folder: Path
    chat: Chat
    keep: int
    old_segments: OldSegments
    is_restricted: bool

    def write(self, step: int, groups: Sequence[Group], learnt: Sequence[Learnt]) -> None:
        """The file of ``step``; nothing when none is to be kept."""
        if not self.keep:
            return
        trained = {(id(one.lesson.group), one.lesson.place): one.logprobs for one in learnt}
        with replace_when_whole(self.folder / FOLDER / f"{step}.jsonl") as file:
            for group in groups:
                for place, rollout in enumerate(group.rollouts):
                    row = self._row(group, place, rollout, trained.get((id(group), place)))
                    file.write(json.dumps(row).encode() + b"\n")
        for old in steps_kept(self.folder):
            if old <= step - self.keep or old > step:
                (self.folder / FOLDER / f"{old}.jsonl").unlink()

    def _row(
        self, group: Group, place: int, rollout: Rollout, logprobs: Sequence[float] | None
    ) -> Mapping[str, Any]:
        tokens = [token for segment in rollout.segments for token in segment.tokens]
        return {
            "example_id": group.task.id,
            "sample": group.first_sample + place,
            "advantage": rollout.advantage,
            "pieces": [] if self.is_restricted else [self.chat.text_of([one]) for one in tokens],
            "sampled": [value for one in rollout.segments for value in one.logprobs],
            "trained": list(_aligned(rollout, logprobs, self.old_segments)),
            "versions": [one.version for one in rollout.segments for _ in one.tokens],
        }


def steps_kept(folder: Path) -> list[int]:
    """Steps whose file is there, in order."""
    return sorted(int(path.stem) for path in (folder / FOLDER).glob("*.jsonl"))


def read(folder: Path, step: int) -> list[dict[str, Any]]:
    """The lines of ``step``; none when it is not kept."""
    path = folder / FOLDER / f"{step}.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _aligned(
    rollout: Rollout, logprobs: Sequence[float] | None, old_segments: OldSegments
) -> Iterator[float | None]:
    """One value a token, None where it did not enter the loss."""
    left = iter(logprobs or ())
    versions = rollout.versions(old_segments)
    for segment in rollout.segments:
        is_learnt = logprobs is not None and segment.version in versions
        for _ in segment.tokens:
            yield next(left) if is_learnt else None

"""Do training prompts repeat evaluation prompts? Shared runs of words, counted.

Two prompts are held against each other by their shingles, every run of five words in plain
lower case. ``share`` is the part of the evaluation prompt's shingles that the training prompt
has too: 1 for a copy, near 0 for two questions on one subject. Shorter prompts overlap only
when they are equal. Only ids come out, so restricted benchmarks can be checked.

``python -m kos.data.overlap TRAIN EVALUATION`` prints the pairs; it exits with 1 if it finds any.
"""

from __future__ import annotations

import argparse
import heapq
import json
import re
import sys
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, groupby
from pathlib import Path
from typing import NamedTuple

from kos.data.readers import read_file
from kos.data.rubrics import RubricTask
from kos.errors import UserError

SHINGLE_WORDS = 5
THRESHOLD = 0.3
WORD = re.compile(r"\w+")
# Of each prompt of a large set only this many shingles are held against the others'.
SKETCH = 24
REPEAT_THRESHOLD = 0.6
EVERY = 500
# A run of words that more evaluation prompts share is a phrase of the benchmark, not a question.
MAX_SHARED_BY = 50


class Overlap(NamedTuple):
    """A training prompt and the evaluation prompt it repeats, with the shingles they share."""

    train_id: str
    evaluation_id: str
    share: float
    num_shared: int


def find_overlaps(
    train: Iterable[RubricTask],
    evaluation: Iterable[RubricTask],
    *,
    threshold: float = THRESHOLD,
) -> list[Overlap]:
    """Pairs whose share reaches ``threshold``, the largest share first.

    Time and memory grow with the words in both sets, not with the number of pairs.
    """
    sizes: dict[str, int] = {}
    places: dict[int, list[str]] = defaultdict(list)
    for task in evaluation:
        found = shingles(text_of(task))
        sizes[task.id] = len(found)
        for shingle in found:
            places[shingle].append(task.id)
    pairs = []
    for task in train:
        shared: Counter[str] = Counter()
        for shingle in shingles(text_of(task)):
            holders = places.get(shingle, ())
            if len(holders) <= MAX_SHARED_BY:
                shared.update(holders)
        pairs += [
            Overlap(task.id, other, num / sizes[other], num)
            for other, num in shared.items()
            if num / sizes[other] >= threshold
        ]
    return sorted(pairs, key=lambda pair: (-pair.share, pair.train_id, pair.evaluation_id))


class Repeat(NamedTuple):
    """Two prompts of one set by their places, the earlier first. ``share`` 1 and
    ``is_exact``: the same words in the same order."""

    first: int
    second: int
    share: float
    is_exact: bool


def find_repeats(
    texts: Iterable[str],
    *,
    threshold: float = REPEAT_THRESHOLD,
    told: Callable[[int], None] | None = None,
) -> list[Repeat]:
    """Prompts of one set that say the same, exactly or nearly, the nearest first.

    ``share`` is the part of the shorter prompt's shingles that the longer one has. Candidates
    are found by the smallest few shingles of each prompt, and the share is then counted over
    all of them. Of equal prompts each is paired with the first. ``told`` hears how many texts
    were read.
    """
    firsts: dict[str, int] = {}
    repeats: list[Repeat] = []
    sketches: list[int] = []
    plains: dict[int, str] = {}
    for place, text in enumerate(texts):
        plain = " ".join(WORD.findall(text.lower()))
        if plain and (first := firsts.setdefault(plain, place)) != place:
            repeats.append(Repeat(first, place, 1.0, True))
        elif plain:
            plains[place] = plain
            # Place and shingle in one number: a set of 100,000 prompts has millions of them.
            sketches += [(shingle << 24) | place for shingle in _sketch(plain)]
        if told is not None and place % EVERY == EVERY - 1:
            told(place + 1)
    for first, second in _candidates(sketches):
        one, other = shingles(plains[first]), shingles(plains[second])
        share = len(one & other) / min(len(one), len(other))
        if share >= threshold:
            repeats.append(Repeat(first, second, share, False))
    return sorted(repeats, key=lambda pair: (not pair.is_exact, -pair.share, pair[:2]))


def _sketch(plain: str) -> list[int]:
    """The smallest shingles by CRC-32, which is the same in every process, as hash() is not."""
    words = plain.split(" ")
    last = max(1, len(words) - SHINGLE_WORDS + 1)
    runs = {" ".join(words[start : start + SHINGLE_WORDS]) for start in range(last)}
    return heapq.nsmallest(SKETCH, {zlib.crc32(run.encode()) for run in runs})


def _candidates(sketches: list[int]) -> list[tuple[int, int]]:
    """Pairs of places that share a shingle of their sketches."""
    sketches.sort()
    pairs: set[tuple[int, int]] = set()
    for _, group in groupby(sketches, key=lambda one: one >> 24):
        places = sorted(one & 0xFFFFFF for one in group)
        if 1 < len(places) <= MAX_SHARED_BY:
            pairs.update(combinations(places, 2))
    return sorted(pairs)


def text_of(task: RubricTask) -> str:
    """What the users of the conversation said."""
    return "\n".join(turn.content for turn in task.messages if turn.role == "user")


def shingles(text: str) -> set[int]:
    """Hashes of every run of five words; of the whole text when it is shorter."""
    words = WORD.findall(text.lower())
    if not words:
        return set()
    last = max(1, len(words) - SHINGLE_WORDS + 1)
    return {hash(tuple(words[start : start + SHINGLE_WORDS])) for start in range(last)}


def main(arguments: Sequence[str]) -> int:
    """Run the command; 0 no overlap, 1 some, 2 a file that cannot be read."""
    parser = argparse.ArgumentParser(prog="python -m kos.data.overlap", description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("--threshold", type=float, default=THRESHOLD)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    try:
        train, evaluation = (read_file(path).tasks for path in (options.train, options.evaluation))
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    pairs = find_overlaps(train, evaluation, threshold=options.threshold)
    sys.stdout.write(_said(pairs, len(train), len(evaluation), as_json=options.json))
    return 1 if pairs else 0


def _said(pairs: Sequence[Overlap], num_train: int, num_evaluation: int, *, as_json: bool) -> str:
    if as_json:
        rows = [pair._asdict() for pair in pairs]
        return (
            json.dumps({"train": num_train, "evaluation": num_evaluation, "overlaps": rows}) + "\n"
        )
    lines = [f"{len(pairs)} overlaps of {num_train} with {num_evaluation} prompts"]
    lines += [f"{100 * p.share:5.1f} %  {p.train_id}  {p.evaluation_id}" for p in pairs]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

from __future__ import annotations

import pytest
import torch

from kos.engine.base import SamplingParams
from kos.engine.cache import Prefix
from kos.engine.machine import Machine
from kos.engine.models import load_model
from kos.engine.sampling import Sampler
from kos.serving.rows import PrefixMemory, Rows
from tests.kos.serving.tiny import make_tiny

GREEDY = SamplingParams(max_tokens=24, temperature=0)
PROMPTS = [[5, 9, 11, 40, 7], [5, 9, 11, 8], [60, 61], [5, 9, 11, 40, 7, 33, 2]]


@pytest.fixture(scope="module")
def sampler(tmp_path_factory) -> Sampler:
    folder = make_tiny(tmp_path_factory.mktemp("tiny"))
    return Sampler(load_model(folder, Machine("cpu", "float32", 1)), frozenset())


def say(rows: Rows, row, count: int) -> list[int]:
    said = []
    while len(said) < count:
        said += [token for one, token, _ in rows.step() if one is row]
    return said


def expected(sampler: Sampler, prompt: list[int], count: int) -> list[int]:
    ((answer,),) = sampler.sample([prompt], GREEDY)
    return list(answer.tokens[:count])


def test_rows_begun_at_different_times_say_what_each_says_alone(sampler):
    rows = Rows(sampler)
    said = {}
    for prompt in PROMPTS:
        row = rows.begin(prompt, GREEDY)
        said[tuple(prompt)] = (row, say(rows, row, 3))
    for row, _ in said.values():
        rows.end(row)
    for prompt, (_, tokens) in said.items():
        assert tokens == expected(sampler, list(prompt), 3)


def test_a_row_that_ends_leaves_the_others_alone(sampler):
    rows = Rows(sampler)
    first, second = (rows.begin(prompt, GREEDY) for prompt in PROMPTS[:2])
    rows.step()
    rows.end(first)
    assert [second.tokens[-1], *say(rows, second, 4)] == expected(sampler, PROMPTS[1], 5)


def test_a_conversation_goes_on_from_what_was_read(sampler, monkeypatch):
    rows = Rows(sampler)
    row = rows.begin(PROMPTS[0], GREEDY)
    say(rows, row, 6)
    rows.end(row)
    longer = [*row.tokens, 3, 4]
    monkeypatch.setattr(sampler, "prefill", None)  # nothing may be read from the beginning
    assert say(rows, rows.begin(longer, GREEDY), 5) == expected_unpatched(sampler, longer)


def expected_unpatched(sampler: Sampler, prompt: list[int]) -> list[int]:
    ((answer,),) = Sampler(sampler.model, frozenset()).sample([prompt], GREEDY)
    return list(answer.tokens[:5])


def test_the_same_seed_says_the_same(sampler):
    params = SamplingParams(max_tokens=8, temperature=1.0, top_p=0.9, seed=7)
    rows = Rows(sampler)
    first = say(rows, rows.begin(PROMPTS[2], params), 8)
    assert say(rows, rows.begin(PROMPTS[2], params), 8) == first


def prefix(size: int) -> Prefix:
    return Prefix(torch.zeros(1, 1, size, 2), torch.zeros(1, 1, size, 2))


def test_the_memory_forgets_what_was_used_longest_ago():
    memory = PrefixMemory(budget_bytes=2 * prefix(3).size_bytes)
    for tokens in ([1, 2, 3], [4, 5, 6]):
        memory.keep(tokens, prefix(3))
    memory.longest([1, 2, 9])
    memory.keep([7, 8, 9], prefix(3))
    assert memory.longest([4, 5, 6, 7]) == (None, 0)
    assert memory.longest([1, 2, 9])[1] == 2


def test_the_last_token_of_a_prompt_is_always_read():
    memory = PrefixMemory()
    memory.keep([1, 2, 3], prefix(3))
    assert memory.longest([1, 2, 3])[1] == 2


def test_a_longer_sequence_takes_the_place_of_what_it_begins_with():
    memory = PrefixMemory()
    memory.keep([1, 2], prefix(2))
    memory.keep([1, 2, 3], prefix(3))
    assert memory.size_bytes == prefix(3).size_bytes

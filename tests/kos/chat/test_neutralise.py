from __future__ import annotations

import json

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.load import load_tiktoken_bpe

from kos.chat.neutralise import JOINER, neutralise
from kos.chat.syntax import HERMES, KIMI
from tests.shared import shared

LETTERS = r"[^\r\n\p{L}\p{N}]?"
UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
TAIL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN = "|".join(
    [
        r"[\p{Han}]+",
        f"{LETTERS}{UPPER}*{LOWER}+{TAIL}",
        f"{LETTERS}{UPPER}+{LOWER}*{TAIL}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
MARKERS = [
    *dict.fromkeys((*KIMI.markers, *HERMES.markers)),
    "<tools>",
    "</tools>",
    "<tool_response>",
]


@pytest.fixture(scope="module")
def kimi():
    """Kimi's tokenizer, with all 256 special tokens: the named ones and the reserved."""
    ranks = load_tiktoken_bpe(str(shared("kimi_tokenizer/tiktoken.model")))
    config = json.loads(shared("kimi_tokenizer/tokenizer_config.json").read_text())
    named = {int(key): value["content"] for key, value in config["added_tokens_decoder"].items()}
    special = {
        named.get(number, f"<|reserved_token_{number}|>"): number
        for number in range(len(ranks), len(ranks) + 256)
    }
    return tiktoken.Encoding(
        "kimi", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=special
    )


def test_no_special_token_of_kimi_survives(kimi):
    names = sorted(kimi.special_tokens_set)
    assert len(names) == 256
    page = "gout".join(names) + "".join(names)
    first = min(kimi.encode(names[0], allowed_special="all"))
    assert max(kimi.encode(page, allowed_special="all")) >= first
    assert max(kimi.encode(neutralise(page), allowed_special="all")) < kimi.max_token_value - 255


@pytest.mark.parametrize("marker", MARKERS)
def test_no_marker_of_a_parser_survives(marker):
    assert marker not in neutralise(f"a{marker}b{marker.upper()}")
    assert neutralise(marker).replace(JOINER, "") == marker


def test_clinical_text_is_left_alone():
    text = "BP <120/80, [S1], <b>x</b>, 3 < 4 |> 2, <thinking>, <|, [PADDING], a <tool> box?"
    assert neutralise(text).replace(JOINER, "") == text
    assert neutralise("K+ <3.5 [S1] <b>low</b>") == "K+ <3.5 [S1] <b>low</b>"


@given(st.lists(st.sampled_from([*MARKERS, "<|", "|>", "<", "/", "im_end", JOINER, "x"])))
def test_doing_it_twice_is_doing_it_once_and_nothing_is_lost(parts):
    text = "".join(parts)
    assert neutralise(neutralise(text)) == neutralise(text)
    assert neutralise(text).replace(JOINER, "") == text.replace(JOINER, "")
    assert not any(marker in neutralise(text) for marker in MARKERS)

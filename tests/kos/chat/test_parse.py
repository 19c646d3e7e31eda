from __future__ import annotations

import itertools

import pytest

from kos.chat.parse import Piece, StreamParser, split_thinking

TURNS = [
    "Plain answer.",
    "<think>why</think>Answer",
    "<think>a < b and </ thin</think>x <b>bold</b> <thinly",
    "Answer</think> more",
    "A<think>b</think>C<",
    "<think>cut</thi",
    "",
]


def merged(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of one channel become one piece; markers stay apart."""
    out: list[Piece] = []
    for piece in pieces:
        if out and piece.channel != "marker" and out[-1].channel == piece.channel:
            out[-1] = Piece(piece.channel, out[-1].text + piece.text)
        else:
            out.append(piece)
    return out


def streamed(chunks: list[str], *, starts_thinking: bool = False) -> list[Piece]:
    parser = StreamParser(starts_thinking=starts_thinking)
    pieces = [piece for chunk in chunks for piece in parser.feed(chunk)]
    return merged(pieces + parser.close())


@pytest.mark.parametrize("raw", TURNS)
def test_no_character_is_lost(raw):
    assert "".join(piece.text for piece in streamed(list(raw))) == raw


@pytest.mark.parametrize("raw", TURNS)
@pytest.mark.parametrize("starts_thinking", [False, True])
def test_every_cut_in_three_gives_the_same_pieces(raw, starts_thinking):
    whole = streamed([raw], starts_thinking=starts_thinking)
    for a, b in itertools.combinations_with_replacement(range(len(raw) + 1), 2):
        chunks = [raw[:a], raw[a:b], raw[b:]]
        assert streamed(chunks, starts_thinking=starts_thinking) == whole
    assert streamed(list(raw), starts_thinking=starts_thinking) == whole


def test_thinking_is_kept_apart_from_the_answer():
    assert split_thinking("<think>\nwhy \n</think>\n\nAnswer\n") == ("why", "Answer", ())


def test_a_prompt_that_opens_the_thinking_needs_only_the_close():
    assert split_thinking("r</think>Answer", starts_thinking=True) == ("r", "Answer", ())


def test_a_stray_close_is_taken_out_and_flagged():
    assert split_thinking("Answer</think> more") == ("", "Answer more", ("think_leak",))


def test_thinking_that_starts_again_in_the_answer_is_flagged():
    assert split_thinking("A<think>b</think>C") == ("b", "AC", ("think_leak",))


def test_thinking_without_an_end_leaves_no_answer():
    assert split_thinking("<think>forever") == ("forever", "", ("unclosed_think",))


def test_text_is_shown_as_soon_as_it_cannot_be_a_marker():
    parser = StreamParser()
    assert parser.feed("dose <") == [Piece("answer", "dose ")]
    assert parser.feed(" 5") == [Piece("answer", "< 5")]

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kos.chat.dialects import DIALECTS
from kos.chat.parse import (
    MAX_CHARS,
    ParsedTurn,
    Piece,
    TurnParser,
    keep_one_period,
    main,
    split_thinking,
)
from kos.chat.syntax import HERMES, KIMI, SERVER, THINKING_ONLY, Syntax

TURNS = Path(__file__).parents[2] / "data/kimi_turns.jsonl"
META, *ROWS = (json.loads(line) for line in TURNS.read_text().split("\n") if line)
SCHEMAS = META["tools"]
BEGIN, END = "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"
CALL, ARGUMENTS, CALLED = (
    "<|tool_call_begin|>",
    "<|tool_call_argument_begin|>",
    "<|tool_call_end|>",
)
PLAIN = [
    "Plain answer.",
    "<think>why</think>Answer",
    "<think>a < b and </ thin</think>x <b>bold</b> <thinly",
    "Answer</think> more",
    "A<think>b</think>C<",
    "<think>cut</thi",
    "",
]


def parser(syntax: Syntax = KIMI, **options) -> TurnParser:
    starts = syntax is KIMI
    return TurnParser(syntax, SCHEMAS, starts_thinking=starts, may_open=not starts, **options)


def parsed(raw: str, finish: str = "stop", *, syntax: Syntax = KIMI, **options) -> ParsedTurn:
    one = parser(syntax, **options)
    one.feed(raw)
    return one.close(finish)


def call(arguments: str, header: str = "functions.search_icd:0") -> str:
    return f"r</think>{BEGIN}{CALL}{header}{ARGUMENTS}{arguments}{CALLED}{END}"


def merged(pieces: list[Piece]) -> list[Piece]:
    """Neighbours of one channel become one piece; markers stay apart."""
    out: list[Piece] = []
    for piece in pieces:
        if out and piece.channel != "marker" and out[-1].channel == piece.channel:
            out[-1] = Piece(piece.channel, out[-1].text + piece.text)
        else:
            out.append(piece)
    return out


def streamed(chunks: list[str], finish: str = "stop", *, syntax: Syntax = KIMI):
    """The pieces and the turn of a text that arrives in ``chunks``."""
    one = parser(syntax)
    pieces = [piece for chunk in chunks for piece in one.feed(chunk)]
    turn = one.close(finish)
    assert "".join(piece.text for piece in (*pieces, *turn.tail)) == turn.raw == "".join(chunks)
    return merged([*pieces, *turn.tail]), (turn.reasoning, turn.content, turn.calls, turn.flags)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_the_reference_turns_are_parsed_as_expected(row):
    turn = parsed(row["raw"], row["finish_reason"])
    assert {
        "reasoning": turn.reasoning,
        "content": turn.content,
        "calls": [
            {"id": one.id, "name": one.name, "args": one.args, "error": one.error}
            for one in turn.calls
        ],
        "flags": list(turn.flags),
    } == row["expected"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_every_cut_in_two_gives_the_same(row):
    raw = row["raw"]
    whole = streamed([raw], row["finish_reason"])
    for cut in range(len(raw) + 1):
        assert streamed([raw[:cut], raw[cut:]], row["finish_reason"]) == whole
    assert streamed(list(raw), row["finish_reason"]) == whole


@pytest.mark.parametrize("raw", PLAIN)
@pytest.mark.parametrize("syntax", [KIMI, THINKING_ONLY], ids=["kimi", "plain"])
def test_every_cut_in_three_gives_the_same(raw, syntax):
    whole = streamed([raw], syntax=syntax)
    for a, b in itertools.combinations_with_replacement(range(len(raw) + 1), 2):
        assert streamed([raw[:a], raw[a:b], raw[b:]], syntax=syntax) == whole


alphabet = [*KIMI.markers, *HERMES.markers, "<", "<|", "tool", "x", " ", "\n", "é"]
alphabet += ["functions.search_icd:0", '{"query":', '"gout"}', "}", "[", '"', "\\", "call_1", "0"]


@settings(max_examples=200)
@given(
    st.lists(st.one_of(st.sampled_from(alphabet), st.text(max_size=5)), max_size=30),
    st.lists(st.integers(0, 300), max_size=5),
    st.sampled_from([KIMI, HERMES, SERVER]),
    st.sampled_from(["stop", "length", "repetition", ""]),
)
def test_no_text_breaks_the_parser_and_no_cut_changes_it(parts, cuts, syntax, finish):
    raw = "".join(parts)
    places = [0, *sorted(min(cut, len(raw)) for cut in cuts), len(raw)]
    chunks = [raw[a:b] for a, b in itertools.pairwise(places)]
    assert streamed(chunks, finish, syntax=syntax) == streamed([raw], finish, syntax=syntax)


@pytest.mark.parametrize(
    "unit",
    ["<", "x", "</think>", "<think>", f"{CALL}a:", BEGIN + END, "{", "<|tool_call", CALL + CALLED],
)
def test_the_time_grows_with_the_length(unit):
    def seconds(num_chars: int) -> float:
        raw = (unit * (num_chars // len(unit) + 1))[:num_chars]
        started = time.process_time()
        one = parser()
        for start in range(0, num_chars, 64):
            one.feed(raw[start : start + 64])
        one.close()
        return time.process_time() - started

    seconds(1000)
    # Quadratic time would make it 64 times as long.
    assert seconds(320_000) < 24 * seconds(40_000) + 0.5


def test_text_is_shown_as_soon_as_it_cannot_be_a_marker():
    one = parser(THINKING_ONLY)
    assert one.feed("dose <") == [Piece("answer", "dose ")]
    assert one.feed(" 5") == [Piece("answer", "< 5")]


def test_a_call_is_told_when_it_is_closed():
    one = parser()
    one.feed(call('{"query":"gout"}').removesuffix(CALLED + END))
    assert one.calls == ()
    one.feed(CALLED)
    assert [found.args for found in one.calls] == [{"query": "gout"}]


@pytest.mark.parametrize(
    ("arguments", "args", "flags"),
    [
        ('{"query":"a\nb\t"}', {"query": "a\nb\t"}, ("json_repaired",)),
        ('{"query":"a"', None, ("bad_json",)),
        ("{query:1}", None, ("bad_json",)),
        ('{"query":NaN}', None, ("bad_json",)),
        ('{"query":"\\ud83d"}', None, ("bad_json",)),
        ('"gout"', "gout", ("args_not_object",)),
        ('{"query":"a"}}}', None, ("bad_json",)),
        ('{"query":' + "[" * 40_000, None, ("bad_json",)),
        ('{"query":' + "[" * 300 + "]" * 300 + "}", None, ("bad_json",)),
    ],
)
def test_arguments_are_mended_without_loss_or_refused(arguments, args, flags):
    turn = parsed(call(arguments))
    assert (turn.calls[0].args, turn.flags) == (args, flags)
    assert (turn.calls[0].error is None) == (flags == ("json_repaired",))


@pytest.mark.parametrize(
    ("header", "name", "flags"),
    [
        ("search_icd", "search_icd", ("id_no_prefix", "id_no_index")),
        ("img_gen", "img_gen", ("id_no_prefix", "id_no_index", "unknown_function")),
        ("img_gen:2", "img_gen", ("id_no_prefix", "unknown_function")),
        ("0", "", ("id_unusable", "name_unknown")),
        ("chatcmpl-tool-9f", "", ("id_unusable", "name_unknown")),
        ("", "", ("id_unusable", "name_unknown")),
        ("x" * 300, "x" * 256, ("id_no_prefix", "id_no_index", "unknown_function")),
    ],
)
def test_ids_are_accepted_where_the_name_is_known(header, name, flags):
    turn = parsed(call('{"query":"gout"}', header))
    assert (turn.calls[0].name, turn.flags) == (name, flags)


def test_a_call_cut_by_the_length_is_not_made_though_it_could_be_read():
    turn = parsed(call('{"query":"gout"}').removesuffix(CALLED + END), "length")
    assert turn.calls[0].args == {"query": "gout"}
    assert turn.calls[0].error == "call was cut off before its end"
    assert turn.flags == ("unclosed_call", "unclosed_section", "hit_length")


def test_the_numbers_of_calls_go_on_from_the_earlier_turns():
    used = ["functions.search_icd:0", "functions.read_url:1"]
    again = parsed(call('{"query":"gout"}'), used=used)
    assert (again.calls[0].id, again.flags) == ("functions.search_icd:2", ("duplicate_id",))
    bare = parsed(call('{"query":"gout"}', "functions.search_icd"), used=used)
    assert bare.calls[0].id == "functions.search_icd:2"


def test_an_observation_names_the_place_and_what_would_do():
    turn = parsed(call('{"query":"x","max_results":"5"}', "functions.search_pubmed:0"))
    assert turn.calls[0].observation == (
        "Error: schema_invalid: $.max_results: '5' is not of type 'integer'. "
        'Allowed: type "integer".'
    )
    assert (
        parsed(call("{}", "functions.nope:0"))
        .calls[0]
        .observation.endswith("Valid names: search_icd, read_url, search_pubmed.")
    )


def test_more_calls_than_the_bound_are_refused():
    one = f'{CALL}functions.search_icd{ARGUMENTS}{{"query":"gout"}}{CALLED}'
    turn = parsed(f"r</think>{BEGIN}{one * 34}{END}")
    assert [found.error is None for found in turn.calls] == [True] * 32 + [False] * 2
    assert turn.calls[-1].error == "at most 32 calls in one turn"
    assert "too_many_calls" in turn.flags


def test_arguments_longer_than_the_bound_are_refused():
    turn = parsed(call(json.dumps({"query": "é" * 33_000}, ensure_ascii=False)))
    assert turn.calls[0].error == "arguments are longer than 64 kB"
    assert turn.flags == ("args_too_long",)


def test_what_lies_beyond_the_bound_is_passed_on_unread():
    raw = "r</think>" + "a" * MAX_CHARS + "</think>"
    (thinking, close, answer, cut), (_, content, _, flags) = streamed([raw])
    assert len(thinking.text + close.text + answer.text) == MAX_CHARS
    assert cut.channel == "cut" and content == answer.text and flags == ("too_long",)


def test_a_validator_s_long_quote_is_clipped():
    turn = parsed(call(json.dumps({"query": [1] * 5000})))
    assert len(turn.calls[0].error or "") < 500


def test_what_follows_a_leaked_control_token_is_kept_but_not_shown():
    pieces, _ = streamed(["r</think>Rest.<|im_user|>user<|im_middle|>And"])
    assert pieces[-1] == Piece("cut", "<|im_user|>user<|im_middle|>And")
    assert parsed("r</think>Rest.<|im_user|>user").shown == "Rest."


def test_the_token_that_ends_a_turn_is_no_leak():
    turn = parsed("r</think>Rest.<|im_end|>")
    assert (turn.content, turn.shown, turn.flags) == ("Rest.", "Rest.", ())


def test_a_tool_marker_outside_a_call_is_flagged_and_not_shown():
    turn = parsed(f"r</think>Rest.{CALLED} Drink.")
    assert (turn.content, turn.flags) == ("Rest. Drink.", ("control_token_in_content",))


def test_a_model_that_does_not_think_has_reopened_thinking():
    turn = TurnParser(KIMI, may_open=False)
    turn.feed("<think>why</think>Rest.")
    assert turn.close().flags == ("reopened_think",)


@pytest.mark.parametrize("text", ["the " * 60, "Rest. " + "ab" * 99, "x" * 900, "No repeat."])
def test_of_a_text_that_repeats_one_period_is_kept(text):
    kept = keep_one_period(text)
    assert text.startswith(kept) and len(kept) <= 220


HERMES_CALL = '<tool_call>\n{"name": "search_icd", "arguments": {"query": "gout"}}\n</tool_call>'


def hermes(raw: str, finish: str = "stop") -> ParsedTurn:
    return parsed(raw, finish, syntax=HERMES)


def test_hermes_calls_are_read():
    turn = hermes(f"<think>why</think>\nLet me see.\n{HERMES_CALL}\n{HERMES_CALL}")
    assert (turn.reasoning, turn.content, turn.flags) == ("why", "Let me see.", ())
    assert [found.id for found in turn.calls] == [
        "functions.search_icd:0",
        "functions.search_icd:1",
    ]
    assert turn.calls[0].args == {"query": "gout"} and turn.calls[0].error is None


def test_a_list_of_hermes_calls_is_read():
    body = '[{"name": "search_icd", "arguments": {"query": "a"}}, {"name": "read_url"}]'
    turn = hermes(f"<tool_call>{body}</tool_call>")
    assert [found.name for found in turn.calls] == ["search_icd", "read_url"]
    assert turn.calls[1].error == "'url' is a required property"


@pytest.mark.parametrize(
    ("raw", "flags"),
    [
        ("<tool_call>{", ("unclosed_call", "bad_json")),
        ("<tool_call>{'name': 1}</tool_call>", ("bad_json",)),
        ("<tool_call>{}</tool_call>", ("name_unknown",)),
        ('<tool_call>{"name": "nope"}</tool_call>', ("unknown_function",)),
        (f"{HERMES_CALL} Done.", ("text_after_tool_calls",)),
        ("<think>" + HERMES_CALL, ("call_inside_think",)),
        (HERMES_CALL.removesuffix("</tool_call>"), ("unclosed_call",)),
        (call("{}").removeprefix("r</think>"), ("foreign_call_syntax",)),
        (
            '<tool_call>{"name":"search_icd","arguments":"{\\"query\\":\\"a\\"}"}</tool_call>',
            ("json_repaired",),
        ),
    ],
)
def test_hermes_calls_out_of_order_are_flagged(raw, flags):
    assert hermes(raw).flags == flags


def test_a_hermes_call_cut_by_the_length_is_not_made():
    assert hermes(HERMES_CALL.removesuffix("</tool_call>"), "length").calls[0].error is not None


def test_a_server_s_text_holds_no_calls():
    turn = parsed(f"<think>why</think>Rest. {HERMES_CALL}", syntax=SERVER)
    assert turn.calls == () and turn.flags == ("foreign_call_syntax",)


def test_each_dialect_brings_its_parser():
    one = DIALECTS["kimi"]().parser(SCHEMAS, thinking=False)
    one.feed("Answer")
    assert one.close().content == "Answer"


def test_the_command_prints_a_line_a_turn(capsys):
    assert main([str(TURNS)]) == 0
    lines = capsys.readouterr().out.splitlines()
    expected = [{"id": row["id"], **row["expected"]} for row in ROWS]
    assert [json.loads(line) for line in lines] == expected


def test_the_command_says_what_is_wrong(capsys, tmp_path):
    (tmp_path / "turns.jsonl").write_text('{"_meta": ""}\n{"id": "a"}')
    assert main([str(tmp_path / "turns.jsonl")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert main([]) == 2


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

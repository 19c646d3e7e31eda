"""The ``kos`` command against scripted answers: what it sends, prints and returns."""

from __future__ import annotations

import io
import json
import stat

import httpx
import pytest
from rich.console import Console

from kos.client import Kos, settings
from kos.client.command import main
from kos.client.rows import Run
from kos.client.terminal import accounts, following, session
from kos.client.terminal.screen import Screen, size, span
from kos.client.terminal.values import assign, flatten
from tests.kos.client.fake import Answers, client, ok, refusal
from tests.kos.client.test_streams import stream

RUN = {
    "id": 12,
    "name": "night",
    "kind": "train",
    "status": "running",
    "owner": "ada",
    "tags": ["nightly"],
    "progress": {"steps": {"done": 3, "total": 20, "unit": "steps"}},
    "created": "2026-11-22T10:00:00Z",
    "last_seq": 4,
}
END = "id: 9\nevent: end\ndata: {}\n\n"


@pytest.fixture
def kos(monkeypatch):
    """Let the command get these answers; returns what it asked."""

    def script(*answers):
        transport = Answers(*answers)

        def make(url="", token=""):
            return Kos(url, token, transport=transport, sleep=lambda seconds: None)

        for module in (session, accounts):
            monkeypatch.setattr(module, "Kos", make)
        return transport.asked

    return script


def said(seq, kind, **data):
    event = {"seq": seq, "kind": kind, "attempt": 1, "at": RUN["created"], "data": data}
    return f"id: {seq}\nevent: {kind}\ndata: {json.dumps(event)}\n\n"


def page(*items):
    return ok({"items": [*items], "next": None})


# --- Lists ------------------------------------------------------------------------------------
def test_a_pipe_gets_a_line_a_run(kos, capsys):
    asked = kos(page(RUN))
    assert main(["runs", "--status", "running", "--tag", "nightly", "--limit", "5"]) == 0
    fields = capsys.readouterr().out.rstrip("\n").split("\t")
    assert fields[:6] == ["12", "running", "train", "night", "steps 3/20 steps", "nightly"]
    params = asked[0].url.params
    assert (params.get_list("status"), params["limit"]) == (["running"], "5")


def test_a_script_gets_json(kos, capsys):
    kos(page(RUN))
    assert main(["runs", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [RUN]


def test_an_empty_list_says_what_to_do_and_prints_nothing(kos, capsys):
    kos(page())
    assert main(["runs"]) == 0
    out, err = capsys.readouterr()
    assert (out, "kos run start PRESET" in err) == ("", True)


def test_what_others_wrote_cannot_steer_the_terminal(kos, capsys):
    kos(page(RUN | {"name": "\x1b]0;owned\x07[red]5\u00a0mg\u202e"}))
    main(["runs"])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "]0;owned[red]5 mg\t" in out


# --- Exit codes -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "arguments",
    [
        ["runs", "--colour", "red"],
        ["run", "show", "twelve"],
        ["run", "start", "train", "-s", "steps"],
        ["run", "start", "train", "-i", "base=seven"],
        ["run", "compare", "12"],
        ["fly"],
    ],
)
def test_called_wrongly_is_two(kos, capsys, arguments):
    asked = kos(ok(RUN))
    assert main(arguments) == 2
    assert asked == []
    assert "Error" in capsys.readouterr().err


def test_a_refusal_is_one_and_is_said_in_a_sentence(kos, capsys):
    kos(refusal(404, detail="there is no run 99"))
    assert main(["run", "show", "99"]) == 1
    assert capsys.readouterr().err == "there is no run 99 (404).\n"


def test_a_console_that_is_not_there_says_how_to_choose_another(kos, capsys):
    kos(httpx.ConnectError("Connection refused"))
    assert main(["runs"]) == 1
    assert "kos login URL" in capsys.readouterr().err


@pytest.mark.parametrize(("status", "code"), [("done", 0), ("failed", 1), ("cancelled", 130)])
def test_following_returns_how_the_run_ended(kos, capsys, status, code):
    kos(ok(RUN), stream(said(5, "note", text="hello"), END), ok(RUN | {"status": status}))
    assert main(["run", "follow", "12"]) == code
    out, err = capsys.readouterr()
    assert out == "steps: 3 of 20 steps\nhello\n"
    assert f"is {status}" in err


def test_ctrl_c_leaves_the_run_alone_and_says_how_to_stop_it(kos, capsys):
    def interrupt(request):
        raise KeyboardInterrupt

    asked = kos(ok(RUN), interrupt)
    assert main(["run", "follow", "12"]) == 130
    assert "goes on. To stop it: kos run stop 12" in capsys.readouterr().err
    assert all(request.method == "GET" for request in asked)


# --- Runs -------------------------------------------------------------------------------------
def test_a_start_lays_knobs_over_a_file(kos, tmp_path, capsys):
    file = tmp_path / "stage1.yaml"
    file.write_text("steps: 100\nloss: {kind: cispo}\nrewards: [{kind: conciseness}]\n")
    asked = kos(ok(RUN, 201))
    arguments = ["-c", str(file), "-s", "steps=20", "-s", "loss.clip_high=5", "-i", "base=3"]
    assert main(["run", "start", "train", *arguments, "-s", "rewards.0.gate=0.68", "-d", "4"]) == 0
    body = json.loads(asked[0].content)
    assert body["config"] == {
        "steps": 20,
        "loss": {"kind": "cispo", "clip_high": 5},
        "rewards": [{"kind": "conciseness", "gate": 0.68}],
    }
    assert (body["kind"], body["inputs"], body["dataset"]) == ("train", {"base": 3}, 4)
    assert capsys.readouterr().out == "12\trunning\tnight\n"


DOWNLOADED = """
kind: train
name: night
seed: 3
config: {steps: 100}
inputs: {base: 3}
dataset: 4
"""


def test_a_whole_start_comes_from_the_file_that_the_form_gave(kos, tmp_path):
    file = tmp_path / "train.yaml"
    file.write_text(DOWNLOADED)
    asked = kos(ok(RUN, 201))
    assert main(["run", "start", "-c", str(file), "-s", "steps=20", "-d", "5"]) == 0
    body = json.loads(asked[0].content)
    assert (body["kind"], body["preset"], body["config"]) == ("train", "", {"steps": 20})
    assert (body["inputs"], body["dataset"], body["seed"]) == ({"base": 3}, 5, 3)
    assert body["name"] == "night"


def test_a_file_of_another_kind_starts_nothing(kos, tmp_path, capsys):
    file = tmp_path / "train.yaml"
    file.write_text(DOWNLOADED)
    asked = kos(ok(RUN, 201))
    assert main(["run", "start", "export", "-c", str(file)]) == 2
    assert main(["run", "start"]) == 2
    assert (asked, "starts train, not export" in capsys.readouterr().err) == ([], True)


def test_a_start_that_is_followed_tells_its_address_and_every_event(kos, capsys):
    kos(ok(RUN, 201), stream(said(1, "step", step=1, metrics={"loss": 0.5}), END), ok(RUN))
    assert main(["run", "start", "smoke-train", "--follow"]) == 0
    out, err = capsys.readouterr()
    assert out == "steps: 3 of 20 steps\nstep 1  loss 0.5\n"
    assert "/runs/12/" in err


def test_followed_for_a_script_it_is_an_event_a_line(kos, capsys):
    kos(ok(RUN), stream(said(5, "note", text="a"), said(6, "note", text="b"), END), ok(RUN))
    main(["run", "follow", "12", "--json"])
    assert [json.loads(one)["seq"] for one in capsys.readouterr().out.splitlines()] == [5, 6]


def test_runs_are_compared_where_they_differ(kos, capsys):
    one = RUN | {"config": {"steps": 10, "lora": {"rank": 4}}, "result": {"score": 0.5}}
    two = one | {"id": 15, "config": {"steps": 20, "lora": {"rank": 4}}, "result": {"score": 0.6}}
    series = {"series": {"loss": {"steps": [1, 2], "values": [1.0, 0.5]}}}
    kos(ok(one), ok(two), ok(series))
    assert main(["run", "compare", "12", "15", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["config"] == {"steps": [10, 20]}
    assert found["numbers"] == {"loss": [0.5, 0.5], "score": [0.5, 0.6]}


def test_tags_are_put_on_and_taken_off(kos):
    asked = kos(ok(RUN))
    main(["run", "edit", "12", "--tag", "best", "--untag", "nightly", "--priority", "1"])
    assert json.loads(asked[1].content) == {"tags": ["best"], "priority": 1}


# --- The rest ---------------------------------------------------------------------------------
def test_signing_in_keeps_the_token_for_its_owner_alone(kos, capsys, monkeypatch):
    kos(ok({"username": "ada", "role": "engineer"}))
    monkeypatch.setattr("sys.stdin", io.StringIO("kos_secret\n"))
    assert main(["login", "https://kos.example/", "--token-stdin"]) == 0
    path = settings.config_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert settings.find() == ("https://kos.example", "kos_secret")
    assert "kos_secret" not in capsys.readouterr().out


def test_a_wrong_token_is_not_kept(kos, monkeypatch):
    kos(refusal(401, detail="sign in, or send a token that is not over"))
    monkeypatch.setattr("sys.stdin", io.StringIO("kos_wrong\n"))
    assert main(["login", "https://kos.example", "--token-stdin"]) == 1
    assert not settings.config_file().exists()


def test_an_address_is_printed_for_every_kind_of_page(capsys):
    assert main(["open", "3", "--of", "model", "--url", "http://kos.test"]) == 0
    assert capsys.readouterr().out == "http://kos.test/models/3/\n"


def test_an_answer_is_streamed_and_the_tools_are_told_beside_it(kos, capsys):
    started = {"kos": {"tool_started": {"name": "search_icd", "arguments": {"query": "gout"}}}}
    done = {"kos": {"tool_done": {"name": "search_icd", "seconds": 0.3, "sources": [{}]}}}
    deltas = [started, done, {"content": "It is "}, {"content": "M10.9."}]
    chunks = [{"choices": [{"delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}], "kos": {}})
    kos(stream(*(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks), "data: [DONE]\n\n"))
    assert main(["chat", "kos", "What", "is", "gout?"]) == 0
    out, err = capsys.readouterr()
    assert out == "It is M10.9.\n"
    assert err == "→ search_icd(query='gout')\n✓ search_icd  0.3 s, 1 sources\n"


def test_every_command_explains_itself_and_offers_json(capsys):
    for path in (["runs"], ["run", "start"], ["run", "log"], ["models", "list"], ["queue"]):
        assert main([*path, "--help"]) == 0
        assert "--json" in capsys.readouterr().out


def test_in_a_terminal_there_are_bars_with_unit_and_rate():
    out = Console(file=io.StringIO(), force_terminal=True, width=100)
    kos, _, _ = client(
        stream(
            said(5, "progress", stage="steps", done=4, total=20, unit="steps"),
            said(6, "note", text="careful", level="warning"),
            END,
        ),
        ok(RUN | {"status": "done"}),
    )
    code = following.follow(session.Session(kos, Screen(out=out)), Run.of(RUN))
    text = out.file.getvalue()
    assert code == 0
    assert "4 / 20 steps" in text
    assert "careful" in text


def test_a_nested_knob_is_set_and_read_by_its_dotted_name():
    config = {"rewards": [{"kind": "a"}]}
    assign(config, "loss.kind", "cispo")
    assert flatten(config) == {"rewards.0.kind": "a", "loss.kind": "cispo"}


def test_sizes_and_times_read_well():
    assert [size(12), size(4_200_000)] == ["12 B", "4.2 MB"]
    assert [span(7), span(130), span(7_260), span(200_000)] == [
        "7 s",
        "2 min 10 s",
        "2 h 1 min",
        "2 d 7 h",
    ]

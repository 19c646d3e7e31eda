"""What strangers can send into Kos, each as a function of bytes.

It returns, or raises one of the errors that its callers show as a sentence (``Target.told``).
Whatever else it raises is a fault; so is a broken promise (``AssertionError``).
"""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from kos.chat.calls import CallReader
from kos.chat.parse import TurnParser
from kos.chat.syntax import HERMES, KIMI, SERVER, THINKING_ONLY
from kos.client.errors import KosError
from kos.client.streams import read_events
from kos.data import trajectories
from kos.data.lines import parse_yaml
from kos.errors import UserError
from kos.grading import wording
from kos.harness.refusals import CallError, check_arguments
from kos.mcp import client as mcp
from kos.serving.deltas import read_deltas
from kos.serving.tokens import Detokeniser
from kos.tools.corpus.imports.files import read_entries
from kos.tools.net.bodies import Caps, unpack_body
from kos.tools.net.failures import UnavailableError
from kos.weights import entries, gguf_in
from kos.weights.lora import Adapter
from kos.weights.text import Checkpoint
from tests.kos.data.row_readers import READERS

SEEDS = Path(__file__).with_name("seeds")
TOOLS = Path(__file__).parents[1] / "data/payloads/seven_tools.json"
SYNTAXES = (KIMI, HERMES, SERVER, THINKING_ONLY)
FINISHES = ("stop", "length", "repetition", "")
# Between the files of an input that is a folder.
BETWEEN = b"\n----\n"
CAPS = Caps(raw_bytes=1_000_000, decoded_bytes=1_000_000)
SHAPES = {
    "model.norm.weight": (4,),
    "model.layers.0.mlp.up_proj.weight": (4, 8),
    "model.layers.0.mlp.experts.0.gate_proj.weight": (4, 8),
    "model.layers.0.mlp.experts.0.up_proj.weight": (4, 8),
    "model.layers.0.mlp.experts.0.down_proj.weight": (8, 4),
}


class Target(NamedTuple):
    """``give`` takes the bytes; ``told`` is what its callers turn into a sentence."""

    give: Callable[[bytes], object]
    told: tuple[type[Exception], ...] = (UserError,)


def give(name: str, data: bytes) -> str:
    """The sentence that ``data`` got, "" when it was taken; raises for a fault."""
    target = TARGETS[name]
    try:
        target.give(data)
    except target.told as error:
        said = str(error)
        assert said.strip(), f"{type(error).__name__} without a word"
        sendable(said)
        return said
    return ""


def sendable(text: str) -> None:
    """Raise UnicodeEncodeError for what no socket, page or database takes."""
    text.encode()


@functools.cache
def schemas() -> dict[str, Any]:
    """The parameters of the seven tools, and of one with every keyword that has bounds."""
    found = {
        tool["function"]["name"]: tool["function"]["parameters"]
        for tool in json.loads(TOOLS.read_text())
    }
    bounded = {
        "x": {"type": "number", "multipleOf": 0.5, "minimum": -1e300, "maximum": 1e300},
        "y": {"type": "string", "minLength": 1, "maxLength": 8, "pattern": "^[a-z]+$"},
        "z": {"type": "array", "items": {"enum": [1, "a", None]}, "uniqueItems": True},
    }
    return found | {"bounded": {"type": "object", "properties": bounded}}


def parser(data: bytes) -> None:
    """A model's turn: first byte the dialect, second the ending, third where it is cut."""
    how, finish, cut = (*data[:3], 0, 0, 0)[:3]
    raw = data[3:].decode(errors="replace")
    options = {"starts_thinking": bool(how & 4), "may_open": not how & 4}
    place = cut * len(raw) // 255
    told = []
    for chunks in ([raw], [raw[:place], raw[place:]], [*raw[:2000], raw[2000:]]):
        one = TurnParser(SYNTAXES[how % 4], schemas(), **options)
        pieces = [piece for chunk in chunks for piece in one.feed(chunk)]
        turn = one.close(FINISHES[finish % 4])
        assert "".join(piece.text for piece in (*pieces, *turn.tail)) == raw
        told.append((turn.reasoning, turn.content, turn.shown, turn.calls, turn.flags))
    assert told[0] == told[1] == told[2], "where it is cut changes what is read"
    for call in turn.calls:
        sendable(json.dumps(call.args))
        sendable(f"{call.observation}{call.id}")


def calls(data: bytes) -> None:
    """The harness' calls: an id and arguments, or an object; then the schema they are held to."""
    header, _, arguments = data.decode(errors="replace").partition("\n")
    reader = CallReader(schemas(), used=[header[:40]])
    reader.read(header, arguments)
    reader.read_object(arguments, is_cut=len(data) % 2 == 0)
    reader.read_object(json.dumps({"name": "bounded", "arguments": arguments}))
    for call in reader.calls:
        sendable(f"{call.observation}{call.id}")
        sendable(json.dumps(call.args, ensure_ascii=call.error is not None))
        for schema in schemas().values():
            try:
                check_arguments(call.args, schema)
            except CallError as error:
                sendable(str(error))


def decoder(data: bytes) -> None:
    """Tokens of one to three bytes each become text, none lost, none twice."""
    tokens: list[bytes] = []
    while data:
        size = 1 + data[0] % 3
        tokens.append(data[:size])
        data = data[size:]
    decode = functools.partial(_decoded, tokens)
    one = Detokeniser(decode)
    text = "".join([*map(one.feed, range(len(tokens))), one.close()])
    assert text == decode(range(len(tokens)))


def _decoded(tokens: list[bytes], ids: Any) -> str:
    return b"".join(tokens[one] for one in ids).decode(errors="replace")


def stream(data: bytes) -> None:
    """A model server's answer, in pieces whose size is the first byte."""
    size, body = 1 + (data[0] if data else 0), data[1:]

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    response = httpx.Response(200, content=pieces())
    for delta in _drained(read_deltas(response)):
        sendable(f"{delta.text}{delta.thinking}{delta.finish_reason}")
        assert sum(delta.logprobs) is not None
        for call in delta.tool_calls:
            sendable(f"{call.id}{call.name}{call.arguments}")


def _drained(deltas: AsyncGenerator[Any, None]) -> list[Any]:
    """All of a generator that never waits for anything."""

    async def all_of() -> list[Any]:
        return [delta async for delta in deltas]

    work = all_of()
    try:
        work.send(None)
    except StopIteration as done:
        found: list[Any] = done.value
        return found
    raise AssertionError("it waits for something")


def events(data: bytes) -> None:
    """Server-sent events as the client reads them."""
    lines = data.decode(errors="replace").split("\n")
    for message, found in read_events(lines):
        assert found is None or message.data


def declared(data: bytes) -> None:
    """What an outside MCP server says of a tool: JSON of name, description and schema."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return
    name, description, schema = (*said, "", "", {})[:3] if isinstance(said, list) else ("", "", {})
    if (
        not isinstance(name, str)
        or not isinstance(description, str)
        or not isinstance(schema, dict)
    ):
        return  # the mcp package refuses them
    offered = mcp.offered("outside", name, description, schema)
    assert offered.problems or len(offered.declaration["function"]["name"]) <= mcp.MAX_NAME
    sendable(offered.name + json.dumps(offered.declaration, ensure_ascii=False))
    for problem in offered.problems:
        sendable(problem)


def verdict(data: bytes) -> None:
    """A judge's reply."""
    reply = data.decode(errors="replace")
    for read in (wording.read_one, lambda text: wording.read_all(text, ["k1", "k2"])):
        try:
            ruling = read(reply)
        except wording.UnreadableError as error:
            sendable(str(error))
        else:
            assert "\0" not in str(ruling)


def yaml(data: bytes) -> None:
    """A rubric file."""
    json.dumps(parse_yaml(data), allow_nan=False)


def rows(data: bytes) -> None:
    """A file of rows, as each importer reads it."""
    with _folder({trajectories.FILE: data}) as folder:
        path = folder / trajectories.FILE
        for read in READERS:
            try:
                read(path)
            except UserError as error:
                assert 0 < len(str(error)) < 2_000
                sendable(str(error))


def shard(data: bytes) -> None:
    """The header of a safetensors file, and the values that it says are there."""
    with _folder({"model.safetensors": data}) as folder:
        for entry in entries.Index(folder).values():
            assert entry.start + entry.size_bytes <= len(data)
            if entry.size_bytes < 1000:
                entry.read()


def checkpoint(data: bytes) -> None:
    """A model's folder: config, index, one shard."""
    config, places, shard = (*data.split(BETWEEN, 2), b"", b"")[:3]
    names = {"config.json": config, "model.safetensors": shard}
    if places:
        names[entries.INDEX] = places
    with _folder(names) as folder:
        found = Checkpoint(folder)
        for weight in found.values():
            assert sum(stop - start for start, stop in weight.blocks()) >= 0
            if 0 < weight.stored_bytes < 1000:
                weight.read()


def adapter(data: bytes) -> None:
    """An adapter's folder: config and factors."""
    config, _, factors = data.partition(BETWEEN)
    with _folder({"adapter_config.json": config, "adapter_model.safetensors": factors}) as folder:
        for update in Adapter(folder).plan(SHAPES).values():
            assert update.delta(0, 1).shape


def gguf(data: bytes) -> None:
    """A GGUF file."""
    with _folder({"model.gguf": data}) as folder:
        for one in gguf_in.tensors(folder / "model.gguf").values():
            assert one.data.nbytes == one.n_bytes


def packed(data: bytes) -> None:
    """A body that is packed, and an archive."""
    try:
        assert len(unpack_body(data, CAPS)) <= CAPS.decoded_bytes
    except UnavailableError as error:
        sendable(str(error))
    for name in ("bulk.zip", "bulk.json.gz"):
        with _folder({name: data}) as folder:
            try:
                for entry in read_entries(folder / name, (".json", ".gz")):
                    entry.file.read(100_000)
            except UserError as error:
                sendable(str(error))


class _folder:
    """A folder with files in it; one for all inputs, since making them is what takes long."""

    _kept: Path | None = None

    def __init__(self, files: dict[str, bytes]) -> None:
        self._files = files

    def __enter__(self) -> Path:
        if _folder._kept is None:
            _folder._kept = Path(tempfile.mkdtemp(prefix="kos-fuzz-", dir=_memory()))
        for name, content in self._files.items():
            (_folder._kept / name).write_bytes(content)
        return _folder._kept

    def __exit__(self, *exception: object) -> None:
        assert _folder._kept is not None
        for name in self._files:
            (_folder._kept / name).unlink(missing_ok=True)


def _memory() -> Path | None:
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else None


TARGETS = {
    "parser": Target(parser),
    "calls": Target(calls),
    "decoder": Target(decoder),
    "stream": Target(stream, (UserError, httpx.HTTPError)),
    "events": Target(events, (KosError,)),
    "declared": Target(declared),
    "verdict": Target(verdict),
    "yaml": Target(yaml),
    "rows": Target(rows),
    "shard": Target(shard),
    "checkpoint": Target(checkpoint),
    "adapter": Target(adapter),
    "gguf": Target(gguf),
    "packed": Target(packed),
}


def seeds(name: str) -> Iterator[bytes]:
    """The inputs that are kept for a target: sound ones, and those that once broke it."""
    for path in sorted((SEEDS / name).iterdir()):
        yield path.read_bytes()

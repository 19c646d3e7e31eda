"""The start that a form describes, said in other words: REST, Python, a command, a file."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from apps.accounts.numerals import number
from apps.runs.start.inputs import InputsForm
from apps.runs.start.shortening import short
from kos.config import JobConfig

SETS = ("dataset", "benchmark", "labels")
WIDTH = 72


class Way(NamedTuple):
    """One way to say it: ``name`` is its place on the page, ``title`` its heading."""

    name: str
    title: str
    text: str


def body_of(config: JobConfig, inputs: InputsForm) -> dict[str, Any]:
    """The start as the REST call takes it; what is at its default is left out."""
    body: dict[str, Any] = {"kind": config.kind}
    chosen = {name: inputs[name].value() for name in inputs.fields}
    if chosen["name"]:
        body["name"] = chosen["name"]
    if seed := number(str(chosen["seed"]), most=19):
        body["seed"] = seed
    body["config"] = short(config)
    named = {name: pk for name in inputs.declared if (pk := pk_of(chosen[name])) is not None}
    if artifacts := {name: pk for name, pk in named.items() if name not in inputs.sets}:
        body["inputs"] = artifacts
    return body | {name: pk for name, pk in named.items() if name in inputs.sets}


def ways(body: dict[str, Any], address: str) -> list[Way]:
    """``body`` as people who automate would write it; ``address`` is the console's."""
    return [
        Way("rest", "REST", curl(body, address)),
        Way("python", "Python", python(body, address)),
        Way("command", "Command", command(body)),
        Way("yaml", "YAML", as_yaml(body)),
    ]


def curl(body: dict[str, Any], address: str) -> str:
    # The one sign that ends what a shell quotes.
    said = json.dumps(body, indent=2, ensure_ascii=False).replace("'", "'\\''")
    return (
        f'curl -X POST {address}/api/runs/ \\\n  -H "Authorization: Bearer $KOS_TOKEN" \\\n'
        f"  -H 'Content-Type: application/json' \\\n  -d '{said}'"
    )


def python(body: dict[str, Any], address: str) -> str:
    given = {
        name: body[name] for name in ("config", "inputs", *SETS, "name", "seed") if name in body
    }
    lines = "".join(f"    {name}={_literal(value)},\n" for name, value in given.items())
    return (
        "from kos.client import Kos\n\n"
        f'kos = Kos("{address}")  # its token is in KOS_TOKEN, or kept by `kos login`\n'
        f'run = kos.runs.launch(\n    "{body["kind"]}",\n{lines})\n'
    )


def command(body: dict[str, Any]) -> str:
    """The ``kos`` command: a knob each with ``-s``, its value as YAML reads it."""
    words = [f"kos run start {body['kind']}"]
    words += [f"-s {shlex.quote(f'{name}={value}')}" for name, value in _knobs(body["config"])]
    words += [f"-i {name}={pk}" for name, pk in body.get("inputs", {}).items()]
    words += [f"--{name} {body[name]}" for name in ("dataset", "benchmark") if name in body]
    words += [
        f"--{name} {shlex.quote(str(body[name]))}" for name in ("name", "seed") if name in body
    ]
    return " \\\n  ".join([*words, "--follow"])


def _knobs(config: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Every knob by its path (``loss.clip_high``), lists as one."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _knobs(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", json.dumps(value, ensure_ascii=False)


def as_yaml(body: dict[str, Any]) -> str:
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=80)


def pk_of(value: Any) -> int | None:
    """The primary key that a field of choices holds, as a row or as typed."""
    return number(str(getattr(value, "pk", value)))


def _literal(value: Any, indent: int = 4) -> str:
    """``value`` as Python, on one line where it fits and otherwise a line an entry."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)):
        return repr(value)
    left, right = ("{", "}") if isinstance(value, dict) else ("[", "]")
    entries = _entries(value, indent + 4)
    line = f"{left}{', '.join(entries)}{right}"
    if len(line) + indent <= WIDTH and "\n" not in line:
        return line
    lines = "".join(f"{' ' * (indent + 4)}{entry},\n" for entry in entries)
    return f"{left}\n{lines}{' ' * indent}{right}"


def _entries(value: dict[str, Any] | list[Any], indent: int) -> list[str]:
    if isinstance(value, list):
        return [_literal(one, indent) for one in value]
    return [f"{json.dumps(name)}: {_literal(one, indent)}" for name, one in value.items()]

"""A start from a file: YAML or JSON, as the form's download and the ``kos`` command write it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from pydantic import ValidationError

from kos.config import JOBS, JobConfig
from kos.data.lines import parse_yaml
from kos.errors import UserError

NAME = "file"
SESSION = "uploaded"
MAX_BYTES = 256 * 1024
ABOUT = ("kind", "config", "name", "seed", "inputs", "dataset", "benchmark", "labels")


class UploadForm(forms.Form):
    """A file with a run's kind and knobs."""

    file = forms.FileField(
        label="YAML or JSON",
        help_text="As “Download YAML” writes it: kind and config, and if you like inputs.",
        widget=forms.FileInput(attrs={"accept": ".yaml,.yml,.json"}),
    )


def keep(session: MutableMapping[str, Any], file: UploadedFile[bytes]) -> str:
    """Keep what ``file`` says for the form; its kind. Raises UserError naming what is wrong."""
    if (file.size or 0) > MAX_BYTES:
        raise UserError(f"{file.name} has {file.size:,} bytes; at most {MAX_BYTES:,} would do")
    said = read(file.read())
    config = checked(said)
    session[SESSION] = {
        "kind": config.kind,
        "file": str(file.name)[:80],
        "config": config.model_dump(mode="json"),
        "given": _given(said, config),
    }
    return config.kind


def read(text: bytes) -> dict[str, Any]:
    """The mapping that the file is. JSON is YAML, too."""
    try:
        said = parse_yaml(text)
    except UserError as error:
        raise UserError(f"the file cannot be read as YAML or JSON: {error}") from None
    if not isinstance(said, dict):
        raise UserError("the file is not a mapping; it needs “kind:” and “config:”")
    if unknown := sorted({str(name) for name in said} - {*ABOUT}):
        known = ", ".join(ABOUT)
        raise UserError(f"the file has {', '.join(unknown)[:200]}; known are {known}")
    return said


def checked(said: Mapping[str, Any]) -> JobConfig:
    """The config in the file. Raises UserError naming the first wrong knob."""
    kind, config = said.get("kind"), said.get("config") or {}
    if not isinstance(kind, str) or kind not in JOBS:
        raise UserError(f"the file's kind is {kind!r}; there are {', '.join(JOBS)}")
    if not isinstance(config, dict):
        raise UserError("the file's config is not a mapping of knobs")
    try:
        return JOBS[kind].model_validate({**config, "kind": kind})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "config"
        raise UserError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None


def _given(said: Mapping[str, Any], config: JobConfig) -> dict[str, Any]:
    """What the form's inputs start from: names to numbers, as far as the job takes them."""
    inputs = said.get("inputs")
    wanted = dict(inputs) if isinstance(inputs, dict) else {}
    wanted |= {name: said[name] for name in ("dataset", "benchmark", "labels") if name in said}
    given = {
        name: value
        for name, value in wanted.items()
        if name in config.inputs and isinstance(value, int)
    }
    if isinstance(said.get("name"), str):
        given["name"] = said["name"][:120]
    if isinstance(said.get("seed"), int):
        given["seed"] = said["seed"]
    return given

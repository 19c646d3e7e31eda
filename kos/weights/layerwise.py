"""Calibrate a model one layer at a time, its hidden states on disk between layers.

Memory holds one layer without its routed experts, then one expert at a time; the disk holds the
hidden states of all tokens at one boundary (256 samples of 3,072 tokens of Kimi K2.5: 11.3 GB
in BF16). A finished layer is not done again.

In a layer of experts each expert is read once: the layer runs with the routed experts standing
aside, which gives residual and shared experts and notes each token's routing; then every expert
adds its part to its tokens. Largest inputs are those ModelOpt's max calibration sees.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from kos.weights import shards
from kos.weights.activations import Calibration, Seen, input_of
from kos.weights.moments import Running
from kos.weights.shards import Spec, read_header
from kos.weights.skeleton import EXPERTS, Skeleton
from kos.weights.source import Source

CHUNK = 4096
OnLayer = Callable[[int, int], None]


@dataclass(frozen=True)
class Wanted:
    """What is recorded: largest inputs of all linears, moments of the inputs in ``moments``."""

    moments: frozenset[str] = frozenset()
    num_eigenvectors: int = 0
    has_head: bool = False


def calibrate(
    source: Source,
    batches: Sequence[Tensor],
    folder: Path,
    *,
    wanted: Wanted,
    on_layer: OnLayer,
    dtype: torch.dtype | None = None,
) -> tuple[Calibration, dict[str, Tensor]]:
    """Run int64 ``batches`` (B, T) through the model; what was seen, and moments by name.

    ``folder`` keeps hidden states and finished layers for a job that is taken up again; it is
    the caller's to delete. ``on_layer`` is told layers done and in all. ``dtype`` is float32 on
    a CPU and BF16 on a GPU. Raises UserError for an architecture whose layers cannot be filled.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or (torch.bfloat16 if device.type == "cuda" else torch.float32)
    skeleton = Skeleton(source, dtype=dtype, device=device)
    total = len(skeleton.layers)
    disk = Disk(folder, dtype, source.model.config["hidden_size"], batches, wanted)
    if disk.num_done() < 0:
        disk.begin(skeleton.embed(batches))
    keywords = {tuple(batch.shape): skeleton.keywords(tuple(batch.shape)) for batch in batches}
    for number in range(disk.num_done(), total):
        on_layer(number, total)
        seen = Recorder(wanted)
        _run_layer(skeleton, number, keywords, disk, seen)
        disk.finish(number, seen, wanted.num_eigenvectors)
    if wanted.has_head:
        _record_head(skeleton, disk, total)
    on_layer(total, total)
    return disk.gather(total)


@dataclass
class Recorder:
    """Statistics of one layer's inputs, by input name, and how many tokens each expert got."""

    wanted: Wanted
    running: dict[str, Running] = field(default_factory=dict)
    coverage: list[int] = field(default_factory=list)

    def add(self, name: str, x: Tensor) -> None:
        """Count tokens (..., C) that enter ``name``."""
        if name not in self.running:
            self.running[name] = Running(has_moments=name in self.wanted.moments)
        self.running[name].add(x)

    def watch(self, layer: nn.Module, prefix: str) -> list[Any]:
        """Record the input of every linear of ``layer``; returns the hooks to remove."""
        hooks, told = [], set()
        for name, module in layer.named_modules():
            if not isinstance(module, nn.Linear):
                continue
            key = input_of(f"{prefix}{name}.weight")
            if key not in told:
                told.add(key)
                hooks.append(module.register_forward_pre_hook(self._hook(key)))
        return hooks

    def _hook(self, key: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, inputs: self.add(key, inputs[0])


class _Aside(nn.Module):
    """Stands for the routed experts: notes tokens and routing, adds nothing."""

    def __init__(self, act_fn: Any, num_experts: int) -> None:
        super().__init__()
        self.act_fn, self.num_experts = act_fn, num_experts
        self.calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, x_NC: Tensor, index_NK: Tensor, weight_NK: Tensor) -> Tensor:
        """Zero for every token."""
        self.calls.append((x_NC.detach().cpu(), index_NK.cpu(), weight_NK.float().cpu()))
        return torch.zeros_like(x_NC)


def _run_layer(
    skeleton: Skeleton,
    number: int,
    keywords: dict[tuple[int, ...], list[dict[str, Any]]],
    disk: Disk,
    seen: Recorder,
) -> None:
    """One layer over all batches: from hidden states on disk to hidden states on disk."""
    prefix = f"model.layers.{number}."
    with torch.inference_mode(), skeleton.filled(number) as layer:
        aside = _step_aside(layer)
        hooks = seen.watch(layer, prefix)
        for place, hidden in disk.read(number):
            out = layer(hidden.to(skeleton.device), **keywords[tuple(hidden.shape[:2])][number])
            disk.write(place, out[0] if isinstance(out, tuple) else out)
            if aside is not None:
                disk.put_aside(place, *aside.calls.pop())
        for hook in hooks:
            hook.remove()
        if aside is not None:
            _run_experts(skeleton, number, aside, disk, seen)


def _step_aside(layer: nn.Module) -> _Aside | None:
    """Put a stand-in where the routed experts are; None in a layer without."""
    mlp: Any = getattr(layer, "mlp", None)
    experts = getattr(mlp, "experts", None)
    if experts is None or isinstance(experts, nn.ModuleList):
        return None
    aside = _Aside(experts.act_fn, experts.num_experts)
    mlp.experts = aside
    return aside


def _run_experts(
    skeleton: Skeleton, number: int, aside: _Aside, disk: Disk, seen: Recorder
) -> None:
    """Each expert, read once, over the tokens that were routed to it."""
    stem = f"model.layers.{number}.{EXPERTS}"
    x_NC, index_NK, weight_NK = disk.aside()
    seen.coverage = torch.bincount(index_NK.flatten(), minlength=aside.num_experts).tolist()
    for expert in range(aside.num_experts):
        token_M, choice_M = torch.where(index_NK == expert)
        if not len(token_M):
            continue
        gate, up, down = skeleton.expert(number, expert)
        for start in range(0, len(token_M), CHUNK):
            token_m, choice_m = token_M[start : start + CHUNK], choice_M[start : start + CHUNK]
            x = x_NC[token_m].to(skeleton.device)
            seen.add(f"{stem}.gate_up_proj", x)
            inner = aside.act_fn(functional.linear(x, gate)) * functional.linear(x, up)
            seen.add(f"{stem}.down_proj", inner)
            own = f"{stem}.{expert}.down_proj"
            if own in seen.wanted.moments:
                seen.add(own, inner)
            out = functional.linear(inner, down) * weight_NK[token_m, choice_m, None].to(x.device)
            disk.add(token_m, out)


def _record_head(skeleton: Skeleton, disk: Disk, total: int) -> None:
    """The input of lm_head, noted as a layer after the last."""
    if disk.num_done() > total:
        return
    seen = Recorder(Wanted(frozenset({"lm_head"})))
    for _, hidden in disk.read(total):
        seen.add("lm_head", skeleton.final_norm(hidden.to(skeleton.device)))
    disk.note(total, seen, 0)


class Disk:
    """Hidden states between layers, tokens put aside for experts, and finished layers.

    Tokens lie flat: token ``n`` of all batches at row ``n``, shape (N, C).
    """

    def __init__(
        self,
        folder: Path,
        dtype: torch.dtype,
        size: int,
        batches: Sequence[Tensor],
        wanted: Wanted,
    ) -> None:
        self.folder, self.dtype, self.size = folder, dtype, size
        said = (str(dtype), size, sorted(wanted.moments), wanted.num_eigenvectors)
        digest = hashlib.sha256(repr(said).encode())
        for batch in batches:
            digest.update(repr(tuple(batch.shape)).encode() + batch.numpy().tobytes())
        self._key = digest.hexdigest()
        self.shapes = [(len(batch), batch.shape[1]) for batch in batches]
        ends = [0]
        for rows, length in self.shapes:
            ends.append(ends[-1] + rows * length)
        self.places = list(pairwise(ends))
        self.num_tokens = ends[-1]
        folder.mkdir(parents=True, exist_ok=True)
        self._out: Tensor | None = None
        self._x: Tensor | None = None
        self._routing: list[tuple[Tensor, Tensor]] = []

    def begin(self, hidden: Iterator[Tensor]) -> None:
        """Keep what enters the first layer."""
        self._out = self._map("hidden.next")
        for place, values in zip(self.places, hidden, strict=True):
            self.write(place, values)
        self._close("hidden.0")
        shards.write_json(self.folder / "layer.json", {"done": 0, "key": self._key})

    def num_done(self) -> int:
        """Finished layers; -1 when the work has not begun, or was of other text."""
        path = self.folder / "layer.json"
        said = shards.read_json(path) if path.exists() else {}
        return int(said["done"]) if said.get("key") == self._key else -1

    def read(self, number: int) -> Iterator[tuple[tuple[int, int], Tensor]]:
        """Every batch (B, T, C) that enters layer ``number``, with its place."""
        hidden_NC = self._map(f"hidden.{number}")
        self._out, self._x, self._routing = self._map("hidden.next"), None, []
        for place, shape in zip(self.places, self.shapes, strict=True):
            yield place, hidden_NC[place[0] : place[1]].view(*shape, self.size).clone()

    def write(self, place: tuple[int, int], values: Tensor) -> None:
        """Keep what leaves the layer."""
        assert self._out is not None
        self._out[place[0] : place[1]] = values.reshape(-1, self.size).to("cpu", self.dtype)

    def put_aside(self, place: tuple[int, int], x: Tensor, index: Tensor, weight: Tensor) -> None:
        """Keep what the experts are to work on."""
        if self._x is None:
            self._x = self._map("experts.x")
        self._x[place[0] : place[1]] = x.to(self.dtype)
        self._routing.append((index, weight))

    def aside(self) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens (N, C), the experts chosen (N, K) and their weights (N, K)."""
        assert self._x is not None
        index, weight = zip(*self._routing, strict=True)
        return self._x, torch.cat(index), torch.cat(weight)

    def add(self, token_M: Tensor, values: Tensor) -> None:
        """Add an expert's part (M, C) to its tokens; a token comes once an expert."""
        assert self._out is not None
        self._out[token_M] += values.to("cpu", self.dtype)

    def finish(self, number: int, seen: Recorder, num_eigenvectors: int) -> None:
        """Keep what layer ``number`` saw and made; what it read is no longer needed."""
        self._close(f"hidden.{number + 1}")
        self.note(number, seen, num_eigenvectors)
        (self.folder / f"hidden.{number}").unlink(missing_ok=True)

    def note(self, number: int, seen: Recorder, num_eigenvectors: int) -> None:
        """Write statistics of layer ``number`` and count it done."""
        moments = {
            f"{name}.{part}": values
            for name, running in seen.running.items()
            for part, values in running.tensors(num_eigenvectors).items()
        }
        specs = [Spec(name, one.dtype, tuple(one.shape)) for name, one in moments.items()]
        shards.write_shard(
            self.folder / f"moments.{number}", specs, lambda spec: [moments[spec.name]]
        )
        inputs = {
            name: [running.amax, running.num_tokens] for name, running in seen.running.items()
        }
        shards.write_json(
            self.folder / f"seen.{number}.json", {"inputs": inputs, "coverage": seen.coverage}
        )
        shards.write_json(self.folder / "layer.json", {"done": number + 1, "key": self._key})

    def gather(self, total: int) -> tuple[Calibration, dict[str, Tensor]]:
        """All layers' statistics together."""
        found, moments = Calibration(), {}
        for number in range(self.num_done()):
            said = shards.read_json(self.folder / f"seen.{number}.json")
            found.inputs |= {name: Seen(*numbers) for name, numbers in said["inputs"].items()}
            if said["coverage"]:
                found.coverage[number] = said["coverage"]
            for entry in read_header(self.folder / f"moments.{number}"):
                moments[entry.name] = entry.read()
        return found, moments

    def _map(self, name: str) -> Tensor:
        """A file of (N, C) values as a tensor; made when it is missing."""
        path, count = self.folder / name, self.num_tokens * self.size
        mapped = torch.from_file(str(path), shared=True, size=count, dtype=self.dtype)
        return mapped.view(self.num_tokens, self.size)

    def _close(self, name: str) -> None:
        """Give what was written its final name."""
        self._out = None
        (self.folder / "hidden.next").replace(self.folder / name)

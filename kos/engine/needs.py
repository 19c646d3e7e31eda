"""What a training asks of its engine, held against what the engine offers, before all else.

No torch here: the console asks before a run is queued, the job before anything is opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from kos.engine.choices import ENGINES, InEngine, Tinker, Vllm
from kos.errors import UserError

if TYPE_CHECKING:
    from kos.config.training import Train
    from kos.engine.capabilities import Capability


def check(config: Train) -> None:
    """Raise UserError with all that ``config`` asks and its engine or sampler cannot do."""
    if wrong := list(unmet(config)):
        raise UserError("; ".join(wrong) + ".")


def unmet(config: Train) -> Iterator[str]:
    """A sentence for each need that is not met, and what would do."""
    for capability, what in _asked(config):
        if capability not in config.engine.offers:
            able = [
                one.model_fields["kind"].default for one in ENGINES if capability in one.offers
            ]
            yield f"{what}, which the engine {config.engine.kind} cannot; " + (
                f"use {' or '.join(able)}"
            )
    if not isinstance(config.sampler, InEngine) and isinstance(config.engine, Tinker):
        yield "a Tinker-compatible service samples itself; set the sampler to engine"
    if isinstance(config.sampler, Vllm):
        yield from _unmet_by_vllm(config, config.sampler)


def _asked(config: Train) -> Iterator[tuple[Capability, str]]:
    temperatures = {config.sampling.temperature, config.temperature.end or 1.0}
    if temperatures - {1.0}:
        found = " and ".join(f"{one:g}" for one in sorted(temperatures - {1.0}))
        yield "temperature", f"the run learns from answers sampled at temperature {found}"
    if config.loss.wire() is None:
        yield "custom_loss", f"the loss {config.loss.kind} is computed from log-probabilities"


def _unmet_by_vllm(config: Train, sampler: Vllm) -> Iterator[str]:
    if config.sampling.top_p < 1:
        yield (
            f"vLLM's log-probabilities at top_p {config.sampling.top_p:g} are not those of the "
            "whole vocabulary; set sampling.top_p to 1, or the sampler to engine"
        )
    is_warm = config.sampling.temperature != 1 or config.temperature.end not in (0, 1)
    if sampler.url and is_warm:
        yield (
            "a vLLM server that is not Kos's own may tell its log-probabilities at temperature "
            "1 alone; set sampling.temperature to 1, or let Kos start the server"
        )

"""Named starting points of the forms: a kind of job and what differs from its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kos.evals.benchmarks import BENCHMARKS
from kos.rl.rewards.conciseness import STAGE_2
from kos.tools.registry import all_tools


class Preset(NamedTuple):
    """``config`` needs only the knobs that differ from the defaults of ``kind``."""

    kind: str
    label: str
    description: str
    config: Mapping[str, Any]


def _calibrator(**knobs: int) -> dict[str, Any]:
    return {"kind": "layerwise", "batch": 4, **knobs}


# In the order in which the tool adapter learnt them: the prompt is the same to the byte.
TOOL_NAMES = tuple(tool.name for tool in all_tools())

KOS1: dict[str, Any] = {
    "steps": 100,
    "groups": 32,
    "group_size": 8,
    "substeps": 4,
    "lora": {"rank": 44, "alpha": 44},
    "adam": {"learning_rate": 1e-5},
    "sampling": {"max_tokens": 10_000, "temperature": 1.0},
}

KOS1_ENGINE: dict[str, Any] = {"kind": "tinker", "model": "moonshotai/Kimi-K2.5"}
LITE_ENGINE: dict[str, Any] = {"kind": "torchrun", "processes": 8}
# Room for a prompt beside an answer of 10,000 tokens.
LITE_SAMPLER: dict[str, Any] = {"kind": "vllm", "max_context": 16_384}

# A model of 135M parameters answers in 150 tokens and earns a third of a rubric: gate and bonus
# stand where its answers are, or the bonus would never open.
LAPTOP_REWARD: dict[str, Any] = {
    "kind": "conciseness",
    "gate": 0.25,
    "response": {"free": 130, "maximum": 200, "beta": 0.1},
    "output": {"free": 130, "maximum": 200, "beta": 0.1},
}

# Stage 1 leaves answers of some 100 tokens; half of that is asked for by the middle of stage 2.
LAPTOP_STAGE_2 = ["output.free 0.5:45", "output.maximum 0.5:110", "output.beta 0.5:0.4"]
LAPTOP_TRAIN: dict[str, Any] = {
    "steps": 10,
    "groups": 4,
    "group_size": 8,
    "substeps": 2,
    "adam": {"learning_rate": 2e-4},
    "sampling": {"max_tokens": 208, "temperature": 1.0},
    "rewards": [LAPTOP_REWARD],
}
SMOKE_TRAIN: dict[str, Any] = {
    "steps": 2,
    "groups": 2,
    "group_size": 4,
    "substeps": 1,
    "lora": {"rank": 4},
    "sampling": {"max_tokens": 32},
    "rewards": [LAPTOP_REWARD],
}

PRESETS: dict[str, Preset] = {
    "demo": Preset(
        "pipeline",
        "Laptop demo",
        "The whole way with SmolLM2-135M on two cores, in under 20 minutes. The gate and the "
        "bonus stand at the small model's level (0.25 and 130 tokens), not at Kos-1's.",
        {
            "sft": {"epochs": 1, "batch_size": 4, "adam": {"learning_rate": 2e-3}},
            "train": {**LAPTOP_TRAIN, "steps": 5},
            "export": {"calibrator": _calibrator(samples=32, max_tokens=512)},
            "evaluate": {"samples": 2, "sampling": {"max_tokens": 208, "temperature": 0.7}},
            "evaluate_benchmark": {"samples": 1, "sampling": {"max_tokens": 160}},
            "deploy": {"name": "kos-demo"},
        },
    ),
    "demo-chat": Preset(
        "deploy",
        "Chat with tools",
        "SmolLM2-135M with Kos's tool adapter, in process, with all seven tools: demonstrates the "
        "harness on a laptop. Short results, or its context would be full after one search.",
        {
            "name": "kos-tools",
            "max_context": 4096,
            "asking": {
                "dialect": "hermes",
                "tools_as": "json",
                "tools": list(TOOL_NAMES),
                "observation_tokens": 300,
                "sampling": {"max_tokens": 192, "temperature": 0.0},
            },
        },
    ),
    "smoke": Preset(
        "pipeline",
        "Smoke test",
        "Every stage once, as small as it goes: to see that everything runs, not to learn.",
        {
            "sft": {"epochs": 1, "batch_size": 12, "max_length": 265, "lora": {"rank": 4}},
            "train": SMOKE_TRAIN,
            "export": {"calibrator": _calibrator(samples=4, max_tokens=64)},
            "evaluate": {"samples": 1, "max_prompts": 4, "sampling": {"max_tokens": 32}},
            "deploy": {"name": "kos-smoke"},
        },
    ),
    "laptop": Preset(
        "train",
        "Laptop",
        "SmolLM2-135M in this process on two cores: ten iterations of four prompts with eight "
        "answers each. The gate and the bonus stand at the small model's level.",
        LAPTOP_TRAIN,
    ),
    "laptop-stage2": Preset(
        "train",
        "Laptop, stage 2",
        "The second stage at the small model's level: within five of ten iterations the visible "
        "answer's bonus moves from 130 tokens to 45. Choose the adapter of a laptop run to start "
        "from.",
        {**LAPTOP_TRAIN, "rewards": [LAPTOP_REWARD | {"curriculum": LAPTOP_STAGE_2}]},
    ),
    "smoke-train": Preset(
        "train",
        "Smoke test",
        "Two iterations of two prompts and 32 tokens: to see that it runs, not to learn.",
        SMOKE_TRAIN,
    ),
    "kos1-stage1": Preset(
        "train",
        "Kos-1 Experimental stage 1",
        "Kimi K2.5 on a Tinker-compatible service: 32 groups of 8, 4 substeps, rank 44, 10,000 "
        "tokens, CISPO, a gate of 0.68 and a bonus of up to 0.32. The article does not say for "
        "how many iterations; this one takes 100. The base is read for its tokenizer alone; the "
        "service's key stands under Keys.",
        {**KOS1, "engine": KOS1_ENGINE, "rewards": [{"kind": "conciseness"}]},
    ),
    "kos1-stage2": Preset(
        "train",
        "Kos-1 Experimental stage 2",
        "From the end of stage 1, whose adapter is to be chosen, the bonus tightens: visible "
        "answers of 700 tokens instead of 1,500 and up to 0.55 for them, 0.03 for all tokens. "
        "The article calls the curriculum short; this one takes 50 iterations.",
        {
            **KOS1,
            "steps": 50,
            "engine": KOS1_ENGINE,
            "rewards": [{"kind": "conciseness", "curriculum": list(STAGE_2)}],
        },
    ),
    "kos1-lite": Preset(
        "train",
        "Kos-1 Lite shape",
        "Stage 1 for Qwen3-Next-80B-A3B on GPUs of your own: torch trains it over several, vLLM "
        "samples and takes each new adapter while it runs. Kos-1 Lite's own knobs are not "
        "published; these are Kos-1 Experimental's.",
        {
            **KOS1,
            "engine": LITE_ENGINE,
            "sampler": LITE_SAMPLER,
            "rewards": [{"kind": "conciseness"}],
        },
    ),
}

# Benchmarks prescribe how they are asked and scored; a new one is offered by its file alone.
PRESETS |= {
    f"benchmark-{kind}": Preset("evaluate", cls.label(), cls.measures, cls(kind=kind).settings())
    for cls in BENCHMARKS
    if not cls.is_of_labels and (kind := cls.model_fields["kind"].default)
}

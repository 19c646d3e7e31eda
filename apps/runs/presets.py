"""Named starting points of the forms: a kind of job and what differs from its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from kos.evals.benchmarks import BENCHMARKS
from kos.tools.registry import all_tools


class Preset(NamedTuple):
    """``config`` needs only the knobs that differ from the defaults of ``kind``."""

    kind: str
    label: str
    description: str
    config: Mapping[str, Any]


# In the order in which the tool adapter learnt them: the prompt is the same to the byte.
TOOL_NAMES = tuple(tool.name for tool in all_tools())

KOS1: dict[str, Any] = {
    "groups": 32,
    "group_size": 8,
    "substeps": 4,
    "lora": {"rank": 44, "alpha": 44},
    "adam": {"learning_rate": 1e-5},
    "sampling": {"max_tokens": 10_000, "temperature": 1.0},
}

# A model of 135M parameters answers in 150 tokens and earns a third of a rubric: gate and bonus
# stand where its answers are, or the bonus would never open.
LAPTOP_REWARD: dict[str, Any] = {
    "kind": "conciseness",
    "gate": 0.25,
    "response": {"free": 130, "maximum": 200, "beta": 0.1},
    "output": {"free": 130, "maximum": 200, "beta": 0.1},
}

PRESETS: dict[str, Preset] = {
    "demo": Preset(
        "pipeline",
        "Laptop demo",
        "The whole way with SmolLM2-135M on two cores, in under 20 minutes. The gate and the "
        "bonus stand at the small model's level (0.25 and 130 tokens), not at Kos-1's.",
        {
            "sft": {"epochs": 1, "batch_size": 4, "adam": {"learning_rate": 2e-3}},
            "train": {
                "steps": 5,
                "groups": 4,
                "group_size": 8,
                "substeps": 2,
                "adam": {"learning_rate": 2e-4},
                "sampling": {"max_tokens": 208, "temperature": 1.0},
                "rewards": [LAPTOP_REWARD],
            },
            "export": {"format": {"kind": "nvfp4", "calibration_samples": 32}},
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
            "train": {
                "steps": 2,
                "groups": 2,
                "group_size": 4,
                "substeps": 1,
                "lora": {"rank": 4},
                "sampling": {"max_tokens": 32},
                "rewards": [LAPTOP_REWARD],
            },
            "export": {
                "format": {"kind": "nvfp4", "calibration_samples": 4, "calibration_length": 64}
            },
            "evaluate": {"samples": 1, "max_prompts": 4, "sampling": {"max_tokens": 32}},
            "deploy": {"name": "kos-smoke"},
        },
    ),
    "kos1-stage1": Preset(
        "train",
        "Kos-1 stage 1",
        "Kos-1 Experimental's first stage: 32 groups of 8, 4 substeps, rank 44, a gate of 0.68 "
        "and a bonus of up to 0.32. For an engine that can hold such a model.",
        {**KOS1, "rewards": [{"kind": "conciseness"}]},
    ),
    "kos1-stage2": Preset(
        "train",
        "Kos-1 stage 2, at its end",
        "The tightened bonus that Kos-1's second stage ends with: visible answers of 700 tokens "
        "earn 0.55. Start it from the adapter of stage 1.",
        {
            **KOS1,
            "rewards": [
                {
                    "kind": "conciseness",
                    "response": {"free": 4000, "maximum": 6000, "beta": 0.03},
                    "output": {"free": 700, "maximum": 2150, "beta": 0.55},
                }
            ],
        },
    ),
}

# Benchmarks prescribe how they are asked and scored; a new one is offered by its file alone.
PRESETS |= {
    f"benchmark-{kind}": Preset("evaluate", cls.label(), cls.measures, cls(kind=kind).settings())
    for cls in BENCHMARKS
    if not cls.is_of_labels and (kind := cls.model_fields["kind"].default)
}

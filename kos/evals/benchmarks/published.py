"""What OpenAI's published benchmarks have in common: licence, place and grading."""

from __future__ import annotations

from typing import Any

PAPER = "HealthBench (arXiv:2505.08775)"
PLACE = "https://huggingface.co/datasets/openai/healthbench"
LICENCE = "MIT, with a canary: keep it out of pages and repositories"
JUDGE = "gpt-4.1-2025-04-14"
PROFESSIONAL_JUDGE = "gpt-5.4-2026-03-05"


def simple_evals() -> dict[str, Any]:
    """openai/simple-evals: mean then clip, an item a call, judge GPT-4.1.

    The system message is that of its chat sampler, as are temperature and length.
    """
    return {
        "samples": 1,
        "scoring": "healthbench",
        "sampling": {"max_tokens": 2048, "temperature": 0.5},
        "system_prompt": "You are a helpful assistant.",
        "answering": {"kind": "endpoint"},
        "grader": {"kind": "judge", "model": JUDGE, "asks": "item"},
    }

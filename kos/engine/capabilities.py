"""What engines may be able to do. Apart, so that choices and engines need not import each other."""

from __future__ import annotations

from typing import Literal

Capability = Literal[
    "lora",
    "sample",
    "forward",
    "custom_loss",
    "prompt_logprobs",
    # Learns from answers that were sampled at another temperature than 1.
    "temperature",
    # Starts from an adapter that was trained elsewhere.
    "adapter",
]

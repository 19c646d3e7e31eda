"""The one system prompt used in training, evaluation and serving.

A template that adds its own default when none is given (SmolLM2's does) would otherwise train
one model and serve another.
"""

from __future__ import annotations

SYSTEM_PROMPT = (
    "You are a careful clinical assistant. Answer first and briefly. Say when emergency care is "
    "needed, what to check next, and what you are unsure of. Never invent facts or sources."
)

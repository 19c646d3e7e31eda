"""Untrusted text made harmless: a page that says ``<|im_end|>`` must not end a turn.

Tokenizers turn such strings into the real control tokens wherever they stand. A word joiner
(U+2060, invisible) behind the first characters keeps them text; what a reader sees is the same.
"""

from __future__ import annotations

import re

JOINER = "\u2060"

# Kimi's and ChatML's tokens, the tags Kimi and Hermes models think and call with, and the
# beginning and end marks of other families.
_CONTROL = re.compile(
    r"<\|(?=[a-z0-9_]{2,40}\|>)"
    r"|</?(?=(?:think|tools?|tool_calls?|tool_response|tool_declare|function_calls?)>)"
    r"|<(?=/?s>)"
    r"|\[(?=/?(?:BOS|EOS|PAD|UNK|EOT|INST|TOOL_CALLS)\])",
    re.IGNORECASE,
)


def neutralise(text: str) -> str:
    """``text`` without a string that a tokenizer reads as a control token; doing it twice is
    doing it once.
    """
    return _CONTROL.sub(lambda found: found[0] + JOINER, text)

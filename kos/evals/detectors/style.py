"""What an answer looks like: emojis, tables, headings, bullets; its language; whether it refuses."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

EMOJI = re.compile(
    "[\U0001f300-\U0001faff\U00002600-\U000027bf\U0001f1e6-\U0001f1ff\u2b50\u2705\u274c]"
)
TABLE_RULE = re.compile(r"^\s*\|?(?:\s*:?-{3,}:?\s*\|)+\s*:?-*:?\s*$", re.MULTILINE)
HEADING = re.compile(r"^#{1,6}\s+\S", re.MULTILINE)
BULLET = re.compile(r"^(\s*)(?:[-*+]|\d{1,3}[.)])\s+\S", re.MULTILINE)
INDENT = 2
# Only a whole answer of this kind is a refusal: advice may well begin with what it cannot do.
MAX_REFUSAL_CHARS = 400
REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) sorry,? but|i (?:can(?:no|')t|am (?:not able|unable) to|won't) "
    r"(?:help|assist|provide|answer|give|offer|discuss|comply)|as an ai\b|"
    r"i(?:'m| am) (?:just |only )?an ai\b)",
    re.IGNORECASE,
)
HELPS = re.compile(
    r"\b(?:instead|however|here(?:'s| is)|you (?:can|should|could)|\d+ ?mg)\b", re.IGNORECASE
)
# The writing systems told apart; most others do not occur in what is asked here.
SCRIPTS = {
    "latin": re.compile(r"[A-Za-z\u00c0-\u024f]"),
    "cyrillic": re.compile(r"[\u0400-\u04ff]"),
    "greek": re.compile(r"[\u0370-\u03ff]"),
    "arabic": re.compile(r"[\u0600-\u06ff]"),
    "hebrew": re.compile(r"[\u0590-\u05ff]"),
    "devanagari": re.compile(r"[\u0900-\u097f]"),
    "thai": re.compile(r"[\u0e00-\u0e7f]"),
    "hangul": re.compile(r"[\uac00-\ud7af]"),
    "kana": re.compile(r"[\u3040-\u30ff]"),
    "han": re.compile(r"[\u4e00-\u9fff]"),
}
# Common words that tell languages of one script apart.
FUNCTION_WORDS = {
    "en": "the and of to is you for with that are not this have should can if or your",
    "es": "el los las de que en una por para con es del se no su como pero si usted",
    "fr": "le les des et est une pour dans vous que pas sur avec au du ce votre",
    "de": "der die das und ist nicht ein eine mit sie zu den von auf bei oder wenn",
    "it": "il lo gli di che per una con non sono della si come nel alla",
    "pt": "os um uma para com que não por mais como seu da do em se",
}
MIN_LETTERS = 40


@dataclass(frozen=True)
class Look:
    """Counts of an answer's marks. ``bullet_depth`` is 0 without bullets, 1 for a flat list."""

    emojis: int
    tables: int
    headings: int
    bullet_depth: int


def look(answer: str) -> Look:
    """What the Markdown of an answer uses."""
    indents = [len(found.group(1).expandtabs(4)) for found in BULLET.finditer(answer)]
    return Look(
        emojis=len(EMOJI.findall(answer)),
        tables=len(TABLE_RULE.findall(answer)),
        headings=len(HEADING.findall(answer)),
        bullet_depth=1 + max(indents) // INDENT if indents else 0,
    )


def refuses(answer: str) -> bool:
    """Whether a short answer declines and offers nothing instead."""
    text = answer.strip().replace("\u2019", "'")
    return (
        0 < len(text) <= MAX_REFUSAL_CHARS
        and REFUSAL.search(text) is not None
        and HELPS.search(text) is None
    )


def switches_language(question: str, answer: str) -> bool:
    """Whether the answer is in another language than the question, or changes within itself.

    Says False where either is too short to tell.
    """
    asked, told = language(question), language(answer)
    if asked and told and asked != told:
        return True
    return _is_mixed(answer)


def language(text: str) -> str:
    """The script, or for Latin letters the language; "" when there is too little to tell."""
    counts = {name: len(letters.findall(text)) for name, letters in SCRIPTS.items()}
    if sum(counts.values()) < MIN_LETTERS:
        return ""
    script = max(counts, key=lambda name: counts[name])
    if script in ("han", "kana"):
        return "kana" if counts["kana"] * 10 > counts["han"] else "han"
    return _latin_language(text) if script == "latin" else script


def _latin_language(text: str) -> str:
    words = Counter(re.findall(r"[a-zà-ÿ]+", text.lower()))
    hits = {name: sum(words[w] for w in list_.split()) for name, list_ in FUNCTION_WORDS.items()}
    best, second = sorted(hits.values(), reverse=True)[:2]
    # Notes in telegram style have hardly any function words.
    if best < 3 or best < 1.5 * second:
        return ""
    return max(hits, key=lambda name: hits[name])


def _is_mixed(answer: str) -> bool:
    """Whether letters of a second script are more than a name or a symbol would bring."""
    counts = {name: len(letters.findall(answer)) for name, letters in SCRIPTS.items()}
    counts["greek"] = 0  # alpha and beta are no change of language
    counts["han"] += counts.pop("kana")
    total = sum(counts.values())
    others = total - max(counts.values())
    return total >= MIN_LETTERS and others >= 8 and others > 0.05 * total

"""What the critic is asked, in our own words, and how a written verdict is read.

Every question ends in a choice between the letters A and B, asked twice with the sides changed,
so that a critic that likes a letter decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kos.chat.neutralise import neutralise
from kos.chat.parse import split_thinking
from kos.rl.critic.judgement import Letter
from kos.rl.critic.rubrics import Rubric

SYSTEM = "You compare two answers to a health question. You decide only what you are asked."
PAIR = """\
<conversation>
{conversation}
</conversation>

<answer_a>
{a}
</answer_a>

<answer_b>
{b}
</answer_b>

Which answer is better by these criteria alone? Length by itself is no merit.
{criteria}

Reply with one letter and nothing else: A or B."""
RULE = """\
<conversation>
{conversation}
</conversation>

<answer>
{answer}
</answer>

A rule for answers: {rule}

A: {a}
B: {b}

Which is true? Reply with one letter and nothing else: A or B."""
BROKEN, KEPT = "The answer breaks the rule.", "The answer keeps the rule."
LAST_LETTER = re.compile(r"(?:^|(?i:verdict|answer|better|reply|prefer|is))\W*\b([AB])\b\W*$")
TAG = re.compile(r"</?(?=(?:answer(?:_[ab])?|conversation)>)", re.IGNORECASE)

Messages = list[dict[str, str]]
# Who said what before the answers, system prompts left out.
Spoken = Sequence[tuple[str, str]]


def ask_pair(spoken: Spoken, a: str, b: str, criteria: Sequence[Rubric]) -> Messages:
    """Which of two answers to ``spoken`` is better by all ``criteria`` together."""
    lines = "\n".join(f"- {rubric.title}: {rubric.text}" for rubric in criteria)
    question = PAIR.format(
        conversation=_conversation(spoken), a=_safe(a), b=_safe(b), criteria=lines
    )
    return _messages(question)


def ask_rule(spoken: Spoken, answer: str, rubric: Rubric, *, broken: Letter) -> Messages:
    """Whether ``answer`` breaks a rubric; the letter ``broken`` says that it does."""
    sides = (BROKEN, KEPT) if broken == "a" else (KEPT, BROKEN)
    question = RULE.format(
        conversation=_conversation(spoken),
        answer=_safe(answer),
        rule=rubric.text,
        a=sides[0],
        b=sides[1],
    )
    return _messages(question)


def read_letter(reply: str) -> Letter | None:
    """The letter a written verdict ends in; None when there is none or it is part of a word."""
    lines = [line.strip() for line in split_thinking(reply).answer.splitlines() if line.strip()]
    found = LAST_LETTER.search(lines[-1]) if lines else None
    if found is None:
        return None
    return "a" if found[1] == "A" else "b"


def _messages(question: str) -> Messages:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


def _conversation(spoken: Spoken) -> str:
    return "\n\n".join(f"{role}: {_safe(text)}" for role, text in spoken)


def _safe(text: str) -> str:
    """An answer may say ``</answer_a>`` or an ending token: it stays text."""
    return TAG.sub(lambda found: found[0] + "\N{WORD JOINER}", neutralise(text))

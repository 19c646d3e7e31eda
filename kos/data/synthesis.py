"""The synthesise job: trajectories in which the right tool is called and its result is cited.

A made question goes through the very harness that serves chats, with the embedded tools behind
it. An author who knows the answer takes the model's place: it writes the call, reads what came
back and says it in a sentence or two. So prompts, results and source numbers are to the byte
what a served model will read. Nothing is invented: an answer quotes its source or says that there
is none.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kos.chat.dialects import DIALECTS, Dialect
from kos.config import Synthesise
from kos.data.tool_questions import ToolQuestion, made
from kos.data.trajectories import Exchange, Trajectory, write
from kos.events import Job, Progress, Result, Saved
from kos.harness.events import ToolDone, TurnDone
from kos.harness.loop import Harness
from kos.harness.options import Limits, Options
from kos.messages import Message, Source, ToolCall
from kos.serving.client import Delta
from kos.tools.corpus import Corpus
from kos.tools.desk import Desk
from kos.tools.registry import all_tools

FOLDER = "trajectories"
SENTENCE = re.compile(r"(?<=[.!?])\s+")
HEADER = re.compile(r"URL: |\[…|Where it speaks of ")
MARKS = re.compile(r"^\s*(?:[#>*-]+|\d+[.)])\s*|\*\*|`")
MAX_ANSWER_CHARS = 320
MAX_TITLES = 3
# What is said when a search brings nothing back, by tool.
NOTHING = {
    "search_clinical_trials": "I could not search a trial registry: none is available here. "
    "Please look at ClinicalTrials.gov.",
    "read_url": "I could not open that page from here.",
    "web_search": "I found nothing about this in the sources I can search here.",
    "search_pubmed": "I found no article about this in the sources I can search here.",
}
NOTHING_ELSE = "I found no entry for this, so I cannot say."


def synthesise(config: Synthesise, job: Job) -> None:
    """Write ``job.folder/trajectories``; what a stopped job made is made anew, alike."""
    questions = made(config.questions, job.seed)
    with tempfile.TemporaryDirectory(dir=job.folder) as folder:
        corpus = Corpus.open(Path(folder))
        corpus.prepare()
        desk = Desk(corpus=corpus, is_offline=True)
        trajectories = asyncio.run(_all(config, job, questions, desk))
    write(job.folder / FOLDER, trajectories)
    turns = sum(len(one.turns) for one in trajectories)
    summary = {"trajectories": len(trajectories), "turns": turns, "dialect": config.dialect}
    job.emit(Saved("trajectories", FOLDER, summary))
    job.emit(Result(summary))


async def _all(
    config: Synthesise, job: Job, questions: Sequence[ToolQuestion], desk: Desk
) -> list[Trajectory]:
    found = []
    draw = random.Random(job.seed)  # noqa: S311 (no secret)
    for number, question in enumerate(questions):
        job.emit(Progress("questions", number, len(questions), "questions"))
        is_answered = draw.random() < config.answered
        found.append(
            await trajectory(config, question, desk.for_conversation(), is_answered=is_answered)
        )
    job.emit(Progress("questions", len(questions), len(questions), "questions"))
    return found


async def trajectory(
    config: Synthesise, question: ToolQuestion, desk: Desk, *, is_answered: bool = True
) -> Trajectory:
    """One question, from its call to its answer, or the call alone."""
    dialect = DIALECTS[config.dialect]()
    author = Author(question, dialect)
    harness = Harness(
        client=author,
        dialect=dialect,
        tools=all_tools(),
        desk=desk,
        limits=Limits(seed=0),
        options=Options(
            tools_as=config.tools_as,
            resample=False,
            observation_tokens=config.observation_tokens,
        ),
    )
    async with aclosing(harness.run([Message("user", question.question)])) as events:
        async for event in events:
            if isinstance(event, ToolDone):
                author.sources, author.observation = event.sources, event.observation
            if isinstance(event, TurnDone):
                told = event.turns if is_answered else event.turns[:1]
                turns = [Exchange(prompt=turn.rendered, completion=turn.raw) for turn in told]
                return Trajectory(
                    id=question.id, question=question.question, tool=question.tool, turns=turns
                )
    raise AssertionError("the harness ended without TurnDone")


@dataclass
class Author:
    """Stands where the model stands: calls the tool that is right, then says what it found."""

    question: ToolQuestion
    dialect: Dialect
    sources: Sequence[Source] = ()
    observation: str = ""
    num_turns: int = 0

    async def stream_raw(self, prompt: str, **options: Any) -> AsyncGenerator[Delta, None]:
        """The next turn, in one piece."""
        self.num_turns += 1
        yield Delta(text=self._call() if self.num_turns == 1 else self._answer())
        yield Delta(finish_reason="stop", num_tokens=1)

    async def stream_chat(
        self, messages: Sequence[Message], **options: Any
    ) -> AsyncGenerator[Delta, None]:
        """Never asked: both dialects render their prompts themselves."""
        raise NotImplementedError
        yield Delta()

    def _call(self) -> str:
        call = ToolCall(f"functions.{self.question.tool}:0", self.question.tool, self._arguments())
        return said(self.dialect, Message("assistant", "", tool_calls=(call,)))

    def _arguments(self) -> str:
        return json.dumps(dict(self.question.arguments), ensure_ascii=False)

    def _answer(self) -> str:
        is_found = bool(self.sources)
        text = (
            summed_up(self.question, self.sources, self.observation)
            if is_found
            else nothing(self.question)
        )
        return said(self.dialect, Message("assistant", text))


def said(dialect: Dialect, message: Message) -> str:
    """What a model says to be read as ``message``, without the marker that ends its turn."""
    before = [Message("user", "?")]
    prompt = dialect.render(before, add_generation_prompt=True)
    whole = dialect.render([*before, message], add_generation_prompt=False)
    assert whole.startswith(prompt), "the history is not what the model said"
    text = whole[len(prompt) :].strip()
    for end in (*dialect.stop_strings, "<|im_end|>"):
        text = text.removesuffix(end)
    return text.strip()


def summed_up(question: ToolQuestion, sources: Sequence[Source], observation: str) -> str:
    """What the sources say, in their own words as far as the model read them, each numbered."""
    shown = [source for source in sources if f"[{source.id}] source=" in observation]
    match question.tool:
        case "search_icd":
            return f"The best match is {shown[0].title} [{shown[0].id}]."
        case "search_pubmed" | "web_search" | "search_clinical_trials":
            titles = [f"- {one.title} [{one.id}]" for one in shown[:MAX_TITLES]]
            return "\n".join(["I found these:", *titles])
    text = opening(_read_of(shown[0], observation))
    return f"{text} [{shown[0].id}]" if text else f"See {shown[0].title} [{shown[0].id}]."


def _read_of(source: Source, observation: str) -> str:
    """The text of a source as the model read it, without header and cut marks."""
    part = observation.partition(f"[{source.id}] source=")[2]
    block = re.split(r"\n\n\[(?:S\d+\] source=|…)", part)[0]
    lines = [line for line in block.splitlines()[1:] if not HEADER.match(line)]
    return "\n".join(lines[1:] if lines and lines[0] == source.title else lines)


def opening(text: str) -> str:
    """The first sentences, as far as they are short; headings and bullets become sentences."""
    lines = [MARKS.sub("", line).strip() for line in text.splitlines()]
    plain = " ".join(_ended(line) for line in lines if line and not line.startswith("|"))
    kept = ""
    for sentence in SENTENCE.split(plain):
        if kept and len(kept) + len(sentence) > MAX_ANSWER_CHARS:
            break
        kept = f"{kept} {sentence}".strip()
    return kept[:MAX_ANSWER_CHARS]


def _ended(line: str) -> str:
    return line if line[-1] in ".!?:;," else f"{line}."


def nothing(question: ToolQuestion) -> str:
    """What to say when there is no source."""
    return NOTHING.get(question.tool, NOTHING_ELSE)

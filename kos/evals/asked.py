"""The models an evaluation asks: each gives answers that nobody has graded yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from kos.chat.dialects import DIALECTS
from kos.config import Evaluate
from kos.data.prompts import conversation
from kos.data.rubrics import RubricTask
from kos.digests import text_digest
from kos.errors import UserError
from kos.evals.answering import AtEndpoint
from kos.evals.flow import in_flight
from kos.evals.worlds import world_of
from kos.events import Job, RolloutDone
from kos.harness.calls import Tool
from kos.harness.events import TurnDone
from kos.harness.loop import Harness
from kos.harness.options import Limits, Options
from kos.harness.record import plain, rollout_of
from kos.messages import Message, ToolCall
from kos.serving.client import HttpClient
from kos.tools.corpus import Corpus
from kos.tools.desk import Desk
from kos.tools.registry import pick_tools

if TYPE_CHECKING:
    from kos.engine.base import Sampled
    from kos.engine.machine import Machine
    from kos.engine.models import Chat
    from kos.engine.sampling import Sampler

# Prompts asked of a model in this process in one go; a stopped evaluation asks such a batch anew.
BATCH = 64
TICK_SECONDS = 0.5
# So many failures in a row are the server's end, not the prompts'.
MAX_FAILURES = 16

NEEDS_TOOLS = (
    "This task is played with tools, which a model in the job's process has none of: ask it at an "
    "endpoint."
)
# All results of one question together, in the longest results of a call.
RESULTS = 6
LEAST_RESULTS_TOKENS = 24_000

OnTick = Callable[[float], None]


class Place(NamedTuple):
    """One answer of the evaluation: the prompt's place in the split, and the sample."""

    number: int
    sample: int


class Asked(Protocol):
    """A model at work."""

    @property
    def name(self) -> str:
        """Its name in the report."""

    def answers(self, places: Sequence[Place], tick: OnTick) -> AsyncIterator[RolloutDone]:
        """An ungraded answer for every place; ``tick`` hears how many answers are on their way."""


def messages_of(config: Evaluate, task: RubricTask) -> list[dict[str, Any]]:
    """The prompt as it is asked."""
    return conversation(task, config.system_prompt)


def message_of(turn: Mapping[str, Any]) -> Message:
    """A turn of the prompt as the harness takes it, the calls of earlier turns included."""
    calls = tuple(
        ToolCall(call["id"], call["name"], call["arguments"])
        for call in turn.get("tool_calls") or ()
    )
    return Message(
        turn["role"],
        turn["content"],
        tool_calls=calls,
        tool_call_id=turn.get("tool_call_id") or "",
    )


def told(config: Evaluate, task: RubricTask) -> tuple[dict[str, str], ...]:
    """The prompt as an answer's record keeps it: strings alone."""
    return tuple(plain(message_of(turn)) for turn in messages_of(config, task))


def open_desk(job: Job) -> Desk:
    """What the tools of an evaluation read: the records on this machine and nothing live.

    Live sources change from day to day; with them two evaluations would not ask the same. The
    worker lends the corpus among the inputs; elsewhere the tools find nothing.
    """
    if "corpus" not in job.inputs:
        return Desk(is_offline=True)
    corpus = Corpus.open(job.inputs["corpus"])
    corpus.prepare()
    return Desk(is_offline=True, corpus=corpus)


def failed(
    config: Evaluate, task: RubricTask, name: str, place: Place, sentence: str
) -> RolloutDone:
    """No answer: a state of its own, never an empty answer."""
    return RolloutDone(
        model=name,
        example_id=task.id,
        sample=place.sample,
        messages=told(config, task),
        answer="",
        thinking="",
        raw="",
        num_tokens=0,
        num_answer_tokens=0,
        stop_reason="error",
        items=(),
        score=None,
        error=sentence,
    )


@dataclass
class LocalModel:
    """A model loaded in this process."""

    name: str
    config: Evaluate
    tasks: Sequence[RubricTask]
    seed: int
    chat: Chat
    sampler: Sampler
    room: int

    @classmethod
    def open(
        cls, name: str, config: Evaluate, job: Job, tasks: Sequence[RubricTask], machine: Machine
    ) -> LocalModel:
        """Load the model that the run's inputs call ``name``."""
        # torch takes seconds to load, and an evaluation of a server needs none of it.
        import peft

        from kos.engine.models import Chat, load_model
        from kos.engine.sampling import Sampler
        from kos.weights.folders import loadable

        is_adapter = name == "warm_start"
        folder = loadable(job.inputs["base" if is_adapter else name])
        model = load_model(folder, machine)
        if is_adapter:
            adapted = peft.PeftModel.from_pretrained(model, job.inputs[name])
            model = adapted.merge_and_unload().eval()
        chat = Chat.load(folder)
        room = getattr(model.config, "max_position_embeddings", 1 << 20)
        return cls(name, config, tasks, job.seed, chat, Sampler(model, chat.end_ids), room)

    async def answers(self, places: Sequence[Place], tick: OnTick) -> AsyncIterator[RolloutDone]:
        """Batch by batch, in a thread of their own so that grading goes on meanwhile.

        A batch always draws all its samples, so that an answer does not depend on which others
        an earlier attempt had.
        """
        wanted = set(places)
        for start in range(0, len(self.tasks), BATCH):
            numbers = range(start, min(start + BATCH, len(self.tasks)))
            if not any(place.number in numbers for place in places):
                continue
            progress = _Progress()
            drawing = asyncio.create_task(asyncio.to_thread(self._draw, numbers, progress))
            try:
                while not (await asyncio.wait({drawing}, timeout=TICK_SECONDS))[0]:
                    tick(progress.num_done)
            finally:
                # A thread cannot be cancelled: it stops at its own next look.
                progress.is_stopped = True
                await asyncio.wait({drawing})
            for place, answer in drawing.result():
                if place in wanted:
                    yield answer

    def _draw(
        self, numbers: Iterable[int], progress: _Progress
    ) -> list[tuple[Place, RolloutDone]]:
        from kos.engine.base import SamplingParams
        from kos.engine.sampling import derive

        sampling = self.config.sampling
        prompts = {
            number: self.chat.encode(messages_of(self.config, self.tasks[number]))
            for number in numbers
        }
        fitting = [
            number
            for number, ids in prompts.items()
            if len(ids) + sampling.max_tokens <= self.room
            and self.tasks[number].environment is None
        ]
        params = SamplingParams(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=derive(self.seed, min(prompts)),
        )
        drawn = (
            self.sampler.sample(
                [prompts[number] for number in fitting],
                params,
                num_samples=self.config.samples,
                on_progress=progress.note,
            )
            if fitting
            else []
        )
        samples = dict(zip(fitting, drawn, strict=True))
        return [
            (place, self._answer(place, samples, len(prompts[number])))
            for number in prompts
            for place in (Place(number, sample) for sample in range(self.config.samples))
        ]

    def _answer(
        self, place: Place, samples: Mapping[int, Sequence[Sampled]], num_prompt_tokens: int
    ) -> RolloutDone:
        task = self.tasks[place.number]
        if task.environment is not None:
            return failed(self.config, task, self.name, place, NEEDS_TOOLS)
        if place.number not in samples:
            return failed(
                self.config,
                task,
                self.name,
                place,
                f"the prompt has {num_prompt_tokens} tokens; with the answer the context ends at "
                f"{self.room}",
            )
        return self._read(task, place, samples[place.number][place.sample])

    def _read(self, task: RubricTask, place: Place, drawn: Sampled) -> RolloutDone:
        from kos.chat.parse import split_thinking
        from kos.evals.detectors import flags

        raw = self.chat.decode(drawn.tokens)
        parsed = split_thinking(raw)
        return RolloutDone(
            model=self.name,
            example_id=task.id,
            sample=place.sample,
            messages=told(self.config, task),
            answer=parsed.answer,
            thinking=parsed.thinking,
            raw=raw,
            num_tokens=len(drawn.tokens),
            num_answer_tokens=self.chat.count(parsed.answer),
            stop_reason=drawn.stop_reason,
            items=(),
            score=None,
            flags=flags(raw, parsed.answer, drawn.stop_reason),
        )


@dataclass
class _Progress:
    """Between the sampler's thread and the event loop: two numbers and a wish."""

    num_done: int = 0
    is_stopped: bool = False

    def note(self, num_tokens: int, num_done: int) -> None:
        self.num_done = num_done
        if self.is_stopped:
            raise InterruptedError("the evaluation was stopped")


@dataclass
class ServedModel:
    """A model on a server, asked through the harness."""

    config: Evaluate
    at: AtEndpoint
    tasks: Sequence[RubricTask]
    seed: int
    client: HttpClient
    tools: Sequence[Tool]
    desk: Desk
    _num_failures: int = field(default=0, init=False)

    @classmethod
    def open(
        cls, config: Evaluate, at: AtEndpoint, job: Job, tasks: Sequence[RubricTask]
    ) -> ServedModel:
        """Connect to the server that ``at`` names."""
        secret = job.secret(at.key) if at.key else ""
        client = HttpClient(at.url, at.model, silence_seconds=at.seconds, key=secret)
        tools = pick_tools(at.tools)
        is_using_tools = bool(tools) or any(task.environment is not None for task in tasks)
        desk = open_desk(job) if is_using_tools else Desk(is_offline=True)
        return cls(config, at, tasks, job.seed, client, tools, desk)

    @property
    def name(self) -> str:
        """Its name in the report."""
        return self.at.name

    async def answers(self, places: Sequence[Place], tick: OnTick) -> AsyncIterator[RolloutDone]:
        """So many conversations at a time, as they end."""

        async def source() -> AsyncIterator[Place]:
            for place in places:
                yield place

        async with aclosing(in_flight(source(), self._answer, self.at.in_flight)) as answers:  # type: ignore[type-var]
            async for answer in answers:
                yield answer

    async def _answer(self, place: Place) -> RolloutDone:
        task = self.tasks[place.number]
        sent = messages_of(self.config, task)
        messages = [message_of(one) for one in sent]
        try:
            world = world_of(task)
        except UserError as error:
            return failed(self.config, task, self.name, place, str(error))
        try:
            harness = self._harness(place, self.tools if world is None else world.tools)
            async with aclosing(harness.run(messages)) as events:
                async for event in events:
                    if isinstance(event, TurnDone):
                        self._num_failures = 0
                        answer = rollout_of(
                            event,
                            messages,
                            model=self.name,
                            example_id=task.id,
                            sample=place.sample,
                        )
                        items = () if world is None else world.grade(task, answer)
                        return replace(answer, items=items)
        except UserError as error:
            self._num_failures += 1
            if self._num_failures >= MAX_FAILURES:
                raise UserError(
                    f"{self._num_failures} prompts in a row got no answer, the last one because: "
                    f"{error} The evaluation stops here; resume it when the server is well."
                ) from error
            return failed(self.config, task, self.name, place, str(error))
        raise AssertionError("the harness ended without TurnDone")

    def _harness(self, place: Place, tools: Sequence[Tool]) -> Harness:
        sampling = self.config.sampling
        # 31 bits: what every server takes as a seed.
        seed = int(text_digest(str(self.seed), *map(str, place))[:8], 16) >> 1
        limits = Limits(
            max_tokens=sampling.max_tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            seed=seed,
            seconds=self.at.seconds,
            max_context=self.at.max_context,
        )
        options = Options(
            tools_as=self.at.tools_as,
            thinking=self.at.thinking,
            observation_tokens=self.at.observation_tokens,
            run_observation_tokens=max(LEAST_RESULTS_TOKENS, RESULTS * self.at.observation_tokens),
            resample=False,
        )
        return Harness(
            client=self.client,
            dialect=DIALECTS[self.at.dialect](),
            tools=tools,
            desk=self.desk.for_conversation(),
            limits=limits,
            options=options,
            system_prompt=self.config.system_prompt,
            name=self.name,
        )

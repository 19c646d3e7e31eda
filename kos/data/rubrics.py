"""A prompt and what grades its answers: a rubric, a verifier, or checkpoints in an environment.

One schema for every source (HealthBench, HealthBench Professional, rubric files, k1.5's
verifiable tasks, PhysicianBench, Kos's own JSONL). Points may be negative: such an item is *met*
when the answer commits the fault it names.

A task is named by its content hash. A field that an older Kos did not know is left out of the
JSON while it is empty, so that rows keep the hash they had.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Literal, Self
from unicodedata import category

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

UseCase = Literal["consult", "writing", "research", "other"]
Split = Literal["train", "validation", "test"]
VerifierKind = Literal["exact", "numeric", "choice", "regex", "code_tests", "json_schema", "expr"]
# Beyond it a sum of points could be no number any more.
MOST_POINTS = 1_000_000
# Empty, it is not written: a row of an older Kos keeps its JSON and so its hash.
Later = partial(Field, exclude_if=lambda value: not value)


class Frozen(BaseModel):
    """Immutable; an unknown field is an error, so a typing mistake is not lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class NumberRange(Frozen):
    """A number the answer must state, in ``[low, high]``, within 40 characters of ``near``."""

    low: float
    high: float
    near: tuple[str, ...] = Field((), description="Words one of which must stand close by.")


class Check(Frozen):
    """A verdict that needs no judge. Every part that is given must hold.

    Phrases match case-insensitively on word boundaries, with any run of white space equal to
    one blank. ``kos.grading.rules`` decides.
    """

    any_of: tuple[str, ...] = Field((), description="At least one of these phrases occurs.")
    all_of: tuple[str, ...] = Field((), description="Every one of these phrases occurs.")
    none_of: tuple[str, ...] = Field((), description="None of these phrases occurs.")
    regex: str = Field("", description="A Python regular expression that must match somewhere.")
    number: NumberRange | None = Field(None, description="A number that must be stated.")
    min_chars: int | None = Field(None, ge=0, description="Shortest answer, in characters.")
    max_chars: int | None = Field(None, ge=1, description="Longest answer, in characters.")
    asks_question: bool = Field(False, description="The answer asks the reader something.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_dump(exclude_defaults=True):
            raise ValueError("an empty check holds for every answer: give it one part at least")
        return self


class Checkpoint(Frozen):
    """What an agent's work is held against, beyond its last answer.

    ``kind`` is the benchmark's own word (trajectory, fhir_state, field_match, category_query,
    llm_judge); ``params`` are its arguments as published. PARTIAL is not a pass.
    """

    kind: str = Field(min_length=1, max_length=40)
    params: dict[str, JsonValue] = Field(default_factory=dict)
    ground_truth: str = ""
    determinism: str = ""


class RubricItem(Frozen):
    """One criterion. Without a ``check`` or a ``checkpoint`` a judge must decide it."""

    key: str = Field(min_length=1, max_length=80, description="Stable name within the prompt.")
    text: str = Field(min_length=1, description="What the grader looks for, as a sentence.")
    points: float = Field(
        ge=-MOST_POINTS,
        le=MOST_POINTS,
        description="Earned when met; negative for a fault. Never 0.",
    )
    check: Check | None = None
    tags: tuple[str, ...] = ()
    checkpoint: Checkpoint | None = Later(None)
    consensus_key: str = Later("", description="Names a criterion that many prompts share.")
    group: str = Later("", description="Items of one group go to a one-shot judge together.")

    @model_validator(mode="after")
    def _points_count(self) -> Self:
        if self.points == 0:
            raise ValueError(f"item {self.key!r} has 0 points: it can never change a score")
        return self

    @property
    def kind(self) -> Literal["judge", "check", "checkpoint"]:
        """Who decides the item."""
        if self.check is not None:
            return "check"
        return "judge" if self.checkpoint is None else "checkpoint"

    @property
    def is_judged(self) -> bool:
        """Whether a judge is asked: it has no rule, or its checkpoint names a judge."""
        if self.checkpoint is not None:
            return self.checkpoint.kind == "llm_judge"
        return self.check is None


class Call(Frozen):
    """A tool call of an earlier turn; ``arguments`` is JSON text."""

    id: str
    name: str
    arguments: str = "{}"


class Turn(Frozen):
    """One message of the prompt."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    name: str = Later("")
    tool_calls: tuple[Call, ...] = Later(())
    tool_call_id: str = Later("")


class Verifier(Frozen):
    """A rule that finds the answer right or wrong (Kimi k1.5). No judge is asked.

    ``answer`` is what is right: a text, a number, a letter, an expression. ``params`` hold the
    rest: ``tolerance`` (numeric, relative ``rtol`` or absolute ``atol``; ``take`` "first" reads
    the first number of the final answer, not the last), ``pattern`` (regex),
    ``schema`` (json_schema), ``tests`` (code_tests, which Kos keeps and does not run).
    """

    kind: VerifierKind
    answer: str = ""
    params: dict[str, JsonValue] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        needs = {"regex": "pattern", "json_schema": "schema", "code_tests": "tests"}
        wanted = needs.get(self.kind)
        if wanted and wanted not in self.params:
            raise ValueError(f"a {self.kind} verifier needs {wanted!r} among its params")
        if wanted is None and not self.answer:
            raise ValueError(f"a {self.kind} verifier needs an answer")
        return self


class Reference(Frozen):
    """An answer to hold others against. ``group`` is the benchmark's own grouping of them."""

    text: str = Field(min_length=1)
    kind: Literal["ideal", "physician", "model_reference", "gold"] = "ideal"
    group: str = ""
    author: str = ""


class Environment(Frozen):
    """What an agent's task runs in. ``timestamp`` is the moment the task plays at, ISO 8601."""

    tools: tuple[str, ...] = ()
    patient_id: str = ""
    timestamp: str = ""
    deliverables: tuple[str, ...] = ()
    data: dict[str, JsonValue] = Field(default_factory=dict)


class Measured(Frozen):
    """How a model fared on the prompt when it was sampled for training."""

    attempts: int = Field(0, ge=0)
    mean_reward: float | None = None
    pass_rate: float | None = Field(None, ge=0, le=1)
    last_step: int = Field(0, ge=0)


class Provenance(Frozen):
    """Where a row came from. Times are ISO 8601; ``parent_id`` is the row it was made of."""

    source: str = ""
    uri: str = ""
    revision: str = ""
    imported_at: str = ""
    importer: str = ""
    parent_id: str = ""
    generator: str = ""


class RubricTask(Frozen):
    """A prompt, what grades its answers, and where both come from. The user speaks last."""

    id: str = Field(min_length=1, max_length=120)
    messages: tuple[Turn, ...] = Field(min_length=1)
    rubric: tuple[RubricItem, ...] = ()
    split: Split = "train"
    use_case: UseCase = "other"
    type: Literal["good_faith", "red_teaming", "other"] = "other"
    difficulty: Literal["typical", "difficult", "other"] = "other"
    specialty: str = ""
    tags: tuple[str, ...] = ()
    reference: str = Field("", description="An answer a clinician would sign; used by SFT.")
    sources: tuple[str, ...] = ()
    licence: str = ""
    restricted: bool = Field(False, description="Benchmark text (canary): never shown or sent.")
    verifier: Verifier | None = Later(None)
    environment: Environment | None = Later(None)
    references: tuple[Reference, ...] = Later((), description="More answers, with their authors.")
    provenance: Provenance | None = Later(None)
    canary: str = Later("", description="The benchmark's own mark, as published.")
    language: str = Later("", description="BCP 47, such as en or zh.")
    level: int | None = Later(None, ge=1, le=5, description="Difficulty from 1 to 5.")
    weight: float | None = Later(None, gt=0, description="Share in sampling; without it 1.")
    measured: Measured | None = Later(None)

    @field_validator("id")
    @classmethod
    def _is_one_line(cls, id: str) -> str:
        # It stands in addresses and in names of files.
        if any(category(character) in ("Cc", "Zl", "Zp") for character in id):
            raise ValueError(f"{id!r} has a line break or a control character")
        return id

    @model_validator(mode="after")
    def _is_answerable(self) -> Self:
        if self.messages[-1].role != "user":
            raise ValueError(f"the last message is from {self.messages[-1].role!r}, not the user")
        if not self.rubric and self.verifier is None:
            raise ValueError("there is neither a rubric item nor a verifier to grade an answer by")
        _refuse_twice("rubric items have the same key", [item.key for item in self.rubric])
        return self

    @model_validator(mode="after")
    def _keeps_its_canary(self) -> Self:
        if self.canary and not self.restricted:
            raise ValueError("a row with a canary must be restricted")
        return self

    @property
    def source_type(self) -> str:
        """``type`` under the name the reports use."""
        return self.type

    @property
    def n_turns(self) -> int:
        """How many times the user speaks."""
        return sum(turn.role == "user" for turn in self.messages)

    @property
    def theme(self) -> str:
        """HealthBench's theme, or ""."""
        return self.tag_value("theme")

    @property
    def slices(self) -> dict[str, str]:
        """The value of each family that divides prompts; a family without a value is left out."""
        is_sorted = self.type != "other"
        values = {
            "use case": "" if self.use_case == "other" else self.use_case,
            "slice": f"{self.type} {self.difficulty}".replace("_", " ") if is_sorted else "",
            "theme": self.theme,
            "specialty": self.specialty,
            "category": self.tag_value("physician_agreed_category"),
            "part": self.tag_value("part"),
            "turns": "one turn" if self.n_turns == 1 else "several turns",
            "language": self.language,
            "level": f"level {self.level}" if self.level else "",
        }
        return {family: value for family, value in values.items() if value}

    def tag_value(self, family: str) -> str:
        """The value of the first tag ``family:value``, or ""."""
        start = f"{family}:"
        found = (tag.removeprefix(start) for tag in self.tags if tag.startswith(start))
        return next(found, "")

    def content_hash(self) -> str:
        """SHA-256 over the canonical JSON; equal tasks have equal hashes.

        Where a row came from and how models fared on it are not its content.
        """
        content = self.model_dump_json(exclude={"provenance", "measured"})
        return hashlib.sha256(content.encode()).hexdigest()


def _refuse_twice(sentence: str, values: list[str]) -> None:
    if len(set(values)) < len(values):
        raise ValueError(f"two {sentence}")

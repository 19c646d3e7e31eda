"""A prompt and the rubric that grades its answers.

One schema for every source (HealthBench, HealthBench Professional, Kos's own JSONL). Points
may be negative: such an item is *met* when the answer commits the fault it names.
"""

from __future__ import annotations

import hashlib
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

UseCase = Literal["consult", "writing", "research", "other"]
Split = Literal["train", "validation", "test"]


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


class RubricItem(Frozen):
    """One criterion. Without a ``check`` a judge must decide it."""

    key: str = Field(min_length=1, max_length=80, description="Stable name within the prompt.")
    text: str = Field(min_length=1, description="What the grader looks for, as a sentence.")
    points: float = Field(description="Earned when met; negative for a fault. Never 0.")
    check: Check | None = None
    tags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _points_count(self) -> Self:
        if self.points == 0:
            raise ValueError(f"item {self.key!r} has 0 points: it can never change a score")
        return self


class Turn(Frozen):
    """One message of the prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class RubricTask(Frozen):
    """A prompt, its rubric, and where both come from. The last message is the user's."""

    id: str = Field(min_length=1, max_length=120)
    messages: tuple[Turn, ...] = Field(min_length=1)
    rubric: tuple[RubricItem, ...] = Field(min_length=1)
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

    @model_validator(mode="after")
    def _is_answerable(self) -> Self:
        if self.messages[-1].role != "user":
            raise ValueError(f"the last message is from {self.messages[-1].role!r}, not the user")
        keys = [item.key for item in self.rubric]
        if len(set(keys)) < len(keys):
            raise ValueError("two rubric items have the same key")
        return self

    def content_hash(self) -> str:
        """SHA-256 over the canonical JSON; equal tasks have equal hashes."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

"""What the model reads of a question in progress, and how it is made to fit.

Everything the loop did not write itself is made harmless here. Beyond that history is left
alone until it no longer fits: the server's prefix cache and the model's training both hang on
it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from kos.chat.neutralise import neutralise
from kos.errors import UserError
from kos.harness.observations import Budget, CountTokens, harmless
from kos.messages import Message, ToolCall, ToolRecord

HIDDEN = "[result hidden]"
ANSWER_NOW = "Answer now with what you have."
SUM_UP = (
    "Do not call a tool now. Sum up for yourself what the results say that matters for the "
    "question: facts with their source ids such as [S3], what was looked for in vain, and what "
    "is still open. This summary will take the place of the results."
)
MIN_RESULT_TOKENS = 40
MAX_NOTE_CHARS = 160


def neutralised(messages: Iterable[Message]) -> list[Message]:
    """The caller's conversation without control tokens, whoever wrote them into it."""
    return [
        replace(
            message,
            content=neutralise(message.content),
            thinking=neutralise(message.thinking),
            tool_calls=tuple(
                replace(call, name=neutralise(call.name), arguments=neutralise(call.arguments))
                for call in message.tool_calls
            ),
        )
        for message in messages
    ]


def with_global_ids(messages: Sequence[Message]) -> list[Message]:
    """Calls numbered through the whole conversation, as Kimi counts them; results follow."""
    numbers = count()
    names: dict[str, str] = {}
    renamed = []
    for message in messages:
        calls = tuple(
            replace(call, id=f"functions.{call.name}:{next(numbers)}")
            for call in message.tool_calls
        )
        names |= {old.id: new.id for old, new in zip(message.tool_calls, calls, strict=True)}
        result_of = names.get(message.tool_call_id, message.tool_call_id)
        renamed.append(replace(message, tool_calls=calls, tool_call_id=result_of))
    return renamed


@dataclass
class Context:
    """The conversation as the model sees it: ``asked`` as it came, then what was done since.

    ``trail`` keeps all of it, whatever ``seen`` lost. ``scale`` corrects our count of tokens by
    what the server counted last.
    """

    asked: list[Message]
    budget: Budget
    max_tokens: int
    max_context: int
    share: float
    notes: list[Message] = field(default_factory=list)
    seen: list[Message] = field(default_factory=list)
    trail: list[Message] = field(default_factory=list)
    scale: float = 1.0

    def add(self, *messages: Message) -> None:
        """Go on with what was said or found."""
        self.seen.extend(messages)
        self.trail.extend(messages)

    @property
    def messages(self) -> list[Message]:
        """What is rendered."""
        return [*self.asked, *self.notes, *self.seen]

    @property
    def limit(self) -> int:
        """Tokens a prompt may have before it is shortened; 0: any number."""
        if not self.max_context:
            return 0
        room = self.max_context - self.max_tokens
        return max(1, min(int(self.max_context * self.share), room))

    def is_over(self, num_tokens: int) -> bool:
        """Whether a prompt of so many tokens is too long."""
        return bool(self.limit) and num_tokens > self.limit

    def learn_scale(self, counted: int, told: int) -> None:
        """The server read ``told`` tokens where we counted ``counted``."""
        if counted and told:
            self.scale = told / counted

    def hide_old_results(self) -> None:
        """Keep the results of the last round only; reasoning and calls stay.

        Source: Kimi K2.5's evaluation on HLE, "hide tool result".
        """
        last = max(
            (place for place, one in enumerate(self.seen) if one.role == "assistant"), default=0
        )
        self.seen = [
            replace(one, content=HIDDEN) if one.role == "tool" and place < last else one
            for place, one in enumerate(self.seen)
        ]

    def restart_with(self, notes: str) -> None:
        """Forget all that was done but ``notes``, which stand behind the question.

        Source: Kimi K2.5's evaluation on BrowseComp, "discard all".
        """
        self.notes = [Message("system", notes)]
        self.seen = []

    def shrink(self, count_prompt: Callable[[], int]) -> None:
        """Cut the longest results until the prompt fits, or none is left to cut.

        Raises UserError when the question alone does not fit into the model's context.
        """
        for _ in range(64):
            num_tokens = count_prompt()
            if not self.is_over(num_tokens):
                return
            if not self._cut_longest(num_tokens - self.limit):
                break
        num_tokens = count_prompt()
        if num_tokens > self.max_context:
            raise UserError(
                f"The conversation takes about {num_tokens:,} tokens and this model reads "
                f"{self.max_context:,} with its answer. Shorten it, or begin a new one."
            )

    def _cut_longest(self, excess: int) -> bool:
        sizes = {
            place: self.budget.count_tokens(one.content)
            for place, one in enumerate(self.seen)
            if one.role == "tool"
        }
        place = max(sizes, key=sizes.__getitem__, default=None)
        if place is None or sizes[place] <= MIN_RESULT_TOKENS:
            return False
        # Half at most, so that several long results are cut alike.
        wanted = max(
            MIN_RESULT_TOKENS, sizes[place] - int(excess / self.scale) - 8, sizes[place] // 2
        )
        shorter = self.budget.cut(self.seen[place].content, wanted, "", "")
        if self.budget.count_tokens(shorter) >= sizes[place]:
            shorter = HIDDEN
        self.seen[place] = replace(self.seen[place], content=shorter)
        return True


def notes_of(records: Sequence[ToolRecord], titles: dict[str, str], *, can_read: bool) -> str:
    """What was looked up so far, one line a call, without the results themselves."""
    lines = [_note(record, titles) for record in records]
    read = 'Read a source again with read_url("kos://doc/S1").' if can_read else ""
    head = "The context was full and earlier results were dropped. Looked up so far:"
    return "\n".join([head, *lines, read]).strip()


def summary_of(text: str) -> str:
    """The model's own summary as it reads it afterwards."""
    return f"The context was full and earlier results were dropped. Your summary:\n{text}"


def _note(record: ToolRecord, titles: dict[str, str]) -> str:
    call = f"- {record.call.name}({record.call.arguments[:MAX_NOTE_CHARS]})"
    if record.is_error:
        return harmless(f"{call}: failed")
    found = "; ".join(f"{name} {titles.get(name, '')[:80]}".strip() for name in record.sources)
    return harmless(f"{call}: {found or 'no results'}")


def declared_tokens(
    messages: Sequence[Message], declarations: Sequence[object], count_tokens: CountTokens
) -> int:
    """About how many tokens a server's own template will make of this."""
    texts = [message.content + message.thinking for message in messages]
    texts += [_call_text(call) for message in messages for call in message.tool_calls]
    return sum(count_tokens(text) + 8 for text in [*texts, str(declarations)])


def _call_text(call: ToolCall) -> str:
    return f"{call.id}{call.name}{call.arguments}"

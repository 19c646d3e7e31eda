"""How a model family is spoken to: its prompt, its calls, the strings that end its turn.

The same dialect renders a training example, an evaluation's prompt and a chat, so that one
model is trained and served. User text, tool results and declarations are neutralised on the
way in; the model's own turns and the system prompt go in as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Literal

from kos.chat import hermes, kimi
from kos.chat.history import turns_of
from kos.chat.parse import TurnParser
from kos.chat.syntax import HERMES, KIMI, SERVER, THINKING_ONLY, Syntax
from kos.errors import UserError
from kos.messages import Message
from kos.registry import Choice, Registry

ToolsAs = Literal["typescript", "json"]


class Dialect(Choice):
    """How a model family is spoken to. ``syntax`` has the markers its parser looks for."""

    kind: str = ""

    stop_strings: ClassVar[tuple[str, ...]] = ()
    # Whether the prompt of a thinking model ends inside its thinking.
    starts_thinking: ClassVar[bool] = False
    # Whether prompts are rendered here (and sent as text), or by the server.
    is_rendered: ClassVar[bool] = True
    syntax: ClassVar[Syntax] = THINKING_ONLY

    def render(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        tools_as: ToolsAs = "typescript",
        thinking: bool = True,
        preserve_thinking: bool = False,
        add_generation_prompt: bool = True,
    ) -> str:
        """The prompt as one text. ``tools`` are OpenAI function declarations.

        ``preserve_thinking`` keeps the thinking of earlier rounds too. Raises ``UserError``
        where a tool or a message cannot be rendered.
        """
        raise NotImplementedError

    def parser(
        self,
        schemas: Mapping[str, Mapping[str, Any]],
        *,
        thinking: bool = True,
        used: Collection[str] = (),
    ) -> TurnParser:
        """What sorts the answer to such a prompt. ``schemas`` has each tool's parameters.

        ``used`` are the ids of the conversation's earlier calls.
        """
        return TurnParser(
            self.syntax,
            schemas,
            starts_thinking=self.starts_thinking and thinking,
            may_open=not self.starts_thinking,
            used=used,
        )


DIALECTS: Registry[Dialect] = Registry("dialect")


@DIALECTS.register
class Kimi(Dialect):
    """Kimi K2.5 and K2.6."""

    kind: Literal["kimi"] = "kimi"
    stop_strings: ClassVar[tuple[str, ...]] = ("<|im_end|>",)
    starts_thinking: ClassVar[bool] = True
    syntax: ClassVar[Syntax] = KIMI

    def render(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        tools_as: ToolsAs = "typescript",
        thinking: bool = True,
        preserve_thinking: bool = False,
        add_generation_prompt: bool = True,
    ) -> str:
        """As ``chat_template.jinja`` of K2.5, with ``preserve_thinking`` of K2.6."""
        declarations = kimi.declarations(tools, tools_as=tools_as)
        turns = turns_of(messages)
        text = declarations + kimi.history(
            turns, thinking=thinking, preserve_thinking=preserve_thinking
        )
        return text + (kimi.opening(thinking=thinking) if add_generation_prompt else "")


@DIALECTS.register
class Hermes(Dialect):
    """Hermes and Qwen: ChatML with JSON calls, for small models such as SmolLM2."""

    kind: Literal["hermes"] = "hermes"
    stop_strings: ClassVar[tuple[str, ...]] = ("<|im_end|>",)
    syntax: ClassVar[Syntax] = HERMES

    def render(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        tools_as: ToolsAs = "typescript",
        thinking: bool = True,
        preserve_thinking: bool = False,
        add_generation_prompt: bool = True,
    ) -> str:
        """ChatML; tools always stand as JSON lines, for these models know no other form."""
        text = hermes.history(
            turns_of(messages), tools, thinking=thinking, preserve_thinking=preserve_thinking
        )
        return text + (hermes.OPENING if add_generation_prompt else "")


@DIALECTS.register
class Server(Dialect):
    """The server's own template and tool parser, for endpoints that only chat.

    Calls and thinking arrive parted from the text, so most flags cannot be measured.
    """

    kind: Literal["server"] = "server"
    is_rendered: ClassVar[bool] = False
    syntax: ClassVar[Syntax] = SERVER

    def render(
        self,
        messages: Sequence[Message | Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        tools_as: ToolsAs = "typescript",
        thinking: bool = True,
        preserve_thinking: bool = False,
        add_generation_prompt: bool = True,
    ) -> str:
        """Always raises ``UserError``: such a server is asked with messages."""
        raise UserError(
            "This deployment's prompts are rendered by its server. Choose the dialect `kimi` or "
            "`hermes` to see and measure them."
        )


def schemas_of(tools: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The parameters of each tool by name, as a parser needs them."""
    return {tool["function"]["name"]: tool["function"].get("parameters") or {} for tool in tools}

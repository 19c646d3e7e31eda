"""``kos chat NAME``: a conversation with a deployed model."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from kos.client.terminal.screen import Screen, clean
from kos.client.terminal.session import STOPPED, Session, command

CHAT = """
kos chat kos "What is the ICD-10 code of gout?"
kos chat kos < question.txt
kos chat kos-demo --no-tools
"""


def add_to(group: click.Group) -> None:
    """Add this room's commands."""
    command(
        group,
        "chat",
        help="Ask a deployed model. Without a message it is a conversation, line by line.",
        examples=CHAT,
    )(chat)


@click.argument("name")
@click.argument("message", nargs=-1)
@click.option("--tools/--no-tools", default=True, help="Whether it may call its tools.")
@click.option("--thinking", is_flag=True, help="Show what it thinks, too.")
@click.option("--max-tokens", type=click.IntRange(1), help="At most so many tokens an answer.")
def chat(
    session: Session,
    name: str,
    message: tuple[str, ...],
    tools: bool,
    thinking: bool,
    max_tokens: int | None,
) -> int | None:
    """One answer, or one after another."""
    options: dict[str, Any] = {"tools": tools}
    if max_tokens is not None:
        options["max_tokens"] = max_tokens
    if message or not sys.stdin.isatty():
        text = " ".join(message) or sys.stdin.read().strip()
        if not text:
            raise click.UsageError("there is no message")
        _ask(session, name, [{"role": "user", "content": text}], thinking, options)
        return None
    talk: list[dict[str, str]] = []
    session.screen.remark(f"{name}. For research only. Ctrl-D ends.")
    while True:
        try:
            text = click.prompt(">", prompt_suffix=" ")
        except click.Abort:
            return None
        talk.append({"role": "user", "content": text})
        try:
            answer = _ask(session, name, talk, thinking, options)
        except KeyboardInterrupt:
            session.screen.remark("\nThe answer was stopped.")
            talk.pop()
            if not talk:
                return STOPPED
            continue
        talk.append({"role": "assistant", "content": answer})


def _ask(
    session: Session,
    name: str,
    talk: list[dict[str, str]],
    is_thinking: bool,
    options: Mapping[str, Any],
) -> str:
    screen, text = session.screen, ""
    for delta in session.kos.chat.stream(name, talk, **options):
        if screen.is_json:
            screen.data({"kind": delta.kind, "text": delta.text, "data": delta.data})
        elif delta.kind == "thinking" and is_thinking:
            screen.err.print(clean(delta.text), end="", style="bright_black", markup=False)
        elif delta.kind == "text":
            screen.write(delta.text)
        elif line := activity(delta.kind, delta.data):
            screen.remark(line)
        if delta.kind == "text":
            text += delta.text
        elif delta.kind == "resampled":
            text = ""
        elif delta.kind == "end" and not screen.is_json:
            _end(screen, delta.data)
    return text


def activity(kind: str, data: Mapping[str, Any]) -> str:
    """What the model does besides speaking, as a line."""
    match kind:
        case "tool_started":
            given = data.get("arguments") or {}
            told = (
                ", ".join(f"{name}={value!r}" for name, value in given.items())
                if isinstance(given, dict)
                else str(given)
            )
            return f"→ {data.get('name')}({told})"
        case "tool_done":
            sign = "✗" if data.get("is_error") else "✓"
            sources = len(data.get("sources") or ())
            return f"{sign} {data.get('name')}  {data.get('seconds', 0)} s, {sources} sources"
        case "agent_started":
            return f"→ agent {data.get('agent')}: {data.get('prompt')}"
        case "agent_done":
            return f"✓ agent {data.get('agent')}"
        case "resampled":
            return "\nThe answer so far was malformed; it begins anew."
    return ""


def _end(screen: Screen, end: Mapping[str, Any]) -> None:
    screen.plain("")
    for one in end.get("citations") or ():
        screen.remark(f"[{one['number']}] {one['title']}  {one['url']}")
    if end.get("finish_reason") == "length":
        screen.remark("The answer was cut: it reached its limit of tokens.")

"""What one browser still lacks of an answer that grows."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse

from apps.chat import markdown
from apps.chat.services import Draft
from apps.traces import reading


class View:
    """How much of a growing answer one browser has."""

    def __init__(self, conversation: int, pk: int) -> None:
        self._conversation = conversation
        self._pk = pk
        self._done: dict[int, bool] = {}
        self._epoch, self._is_first, self._num_thinking, self._content = 0, True, 0, ""

    def frame(self, draft: Draft) -> dict[str, Any]:
        """What is new: finished blocks as HTML, the open one as text, tool cards that changed."""
        is_void = not draft.content.startswith(self._content)
        if draft.epoch != self._epoch or is_void:
            self._restart(epoch=draft.epoch)
        finished, tail = markdown.split(draft.content[len(self._content) :])
        frame = {
            "kind": "writing",
            "id": self._pk,
            "is_first": self._is_first,
            "thinking": draft.thinking[self._num_thinking :],
            "blocks": markdown.render(finished, self._cited(draft)) if finished else "",
            "tail": tail,
            "calls": self._calls(draft),
            "num_tokens": draft.num_tokens,
            "seconds": round(draft.seconds, 1),
        }
        self._is_first = False
        self._num_thinking = len(draft.thinking)
        self._content += finished
        return frame

    def _restart(self, *, epoch: int) -> None:
        self._epoch = epoch
        self._is_first = True
        self._num_thinking = 0
        self._content = ""

    def _calls(self, draft: Draft) -> list[str]:
        changed: list[str] = []
        for place, record in enumerate(draft.tools):
            is_done = not record.get("is_running", False)
            if self._done.get(place) is not is_done:
                self._done[place] = is_done
                context = {
                    "call": reading.call(place, record),
                    "calls_id": f"call-{self._pk}",
                }
                changed.append(render_to_string("traces/_call.html", context))
        return changed

    def _cited(self, draft: Draft) -> markdown.Cited:
        return markdown.Cited({source["id"] for source in draft.sources}, self._address)

    def _address(self, name: str) -> str:
        return reverse("chat:source", args=[self._conversation, self._pk, name])

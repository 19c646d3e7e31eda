"""Two deployments side by side: asked the same, and voted on, blind or with their names."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from ninja import Field, Query, Schema, Status

from apps.accounts.auth import user_in
from apps.automation.paging import Page, Paging, page, shown
from apps.automation.rest import Id, In
from apps.chat import pairings, services
from apps.chat.api import room
from apps.chat.api.room import router, start
from apps.chat.api.shapes import (
    MOST_CHARS,
    ConversationOut,
    MessageOut,
    WordsIn,
    conversation_out,
    message_out,
)
from apps.chat.models import ChatMessage, Pairing
from apps.deployments.models import Deployment


class PairIn(In):
    """The first message makes both conversations."""

    text: str = Field(min_length=1, max_length=MOST_CHARS)
    deployments: list[Id] = Field(min_length=2, max_length=2, description="Two that are ready.")
    is_blind: bool = Field(False, description="Chance decides the sides; names come at the vote.")
    is_warned: bool = Field(False, description="Send what looks like patient identifiers.")


class VoteIn(In):
    vote: Literal["left", "right", "tie", "neither"]
    note: str = Field("", max_length=pairings.MAX_NOTE)


class PairOut(Schema):
    """Read what each side says under its conversation's messages."""

    id: int
    is_blind: bool
    hides_names: bool = Field(description="Blind and not voted on yet.")
    vote: str = Field(description="Empty until one votes.")
    note: str
    left: ConversationOut
    right: ConversationOut
    created: datetime


class PairAnswersOut(Schema):
    """The answers of both sides, which are being written."""

    pair: int
    left: MessageOut
    right: MessageOut


@router.get("/pairs", response=Page[PairOut], summary="My comparisons, newest first")
def list_pairs(request: HttpRequest, wanted: Query[Paging]) -> dict[str, Any]:
    return shown(page(_mine(request), cursor=wanted.cursor, limit=wanted.limit), _out)


@router.post("/pairs", response={201: PairAnswersOut}, summary="Ask two deployments the same")
def begin_pair(request: HttpRequest, body: PairIn) -> Status[PairAnswersOut]:
    first, second = (
        get_object_or_404(Deployment.objects.ready(), pk=pk) for pk in body.deployments
    )
    pairing = pairings.begin(
        user_in(request),
        (first, second),
        body.text,
        is_blind=body.is_blind,
        is_warned=body.is_warned,
    )
    answers = pairings.answers(pairing)
    return Status(201, _answers(request, _find(request, pairing.pk), answers))


@router.get("/pairs/{int:pk}", response=PairOut, summary="One comparison")
def get_pair(request: HttpRequest, pk: int) -> PairOut:
    pairing = _find(request, pk)
    for side in pairings.sides(pairing):
        services.close_silent(side)
    return _out(pairing)


@router.post("/pairs/{int:pk}/messages", response={201: PairAnswersOut}, summary="Ask both on")
def send_to_pair(request: HttpRequest, pk: int, body: WordsIn) -> Status[PairAnswersOut]:
    """To both, or to none. 409 while an answer is being written."""
    pairing = _find(request, pk)
    answers = pairings.add_message(pairing, body.text, is_warned=body.is_warned)
    return Status(201, _answers(request, pairing, answers))


@router.post("/pairs/{int:pk}/stop", response={204: None}, summary="End both answers")
def stop_pair(request: HttpRequest, pk: int) -> Status[None]:
    for side in pairings.sides(_find(request, pk)):
        room.stop(request, side)
    return Status(204, None)


@router.post("/pairs/{int:pk}/vote", response=PairOut, summary="Say which side is better")
def vote(request: HttpRequest, pk: int, body: VoteIn) -> PairOut:
    """Once, when both answers are finished. The reply says who is who."""
    pairings.vote(_find(request, pk), body.vote, note=body.note)
    return _out(_find(request, pk))


def _mine(request: HttpRequest) -> Any:
    # A side asks for its pairing by both names: the right one must know that it is not left.
    mine = Pairing.objects.filter(owner=user_in(request))
    return mine.select_related("left__deployment", "right__deployment", "right__pairing_left")


def _find(request: HttpRequest, pk: int) -> Pairing:
    found: Pairing = get_object_or_404(_mine(request), pk=pk)
    return found


def _out(pairing: Pairing) -> PairOut:
    left, right = map(conversation_out, pairings.sides(pairing))
    return PairOut(
        id=pairing.pk,
        is_blind=pairing.is_blind,
        hides_names=pairing.hides_names,
        vote=pairing.vote,
        note=pairing.note,
        left=left,
        right=right,
        created=pairing.created,
    )


def _answers(request: HttpRequest, pairing: Pairing, rows: list[ChatMessage]) -> PairAnswersOut:
    left, right = (
        message_out(start(request, row), side)
        for row, side in zip(rows, pairings.sides(pairing), strict=True)
    )
    return PairAnswersOut(pair=pairing.pk, left=left, right=right)

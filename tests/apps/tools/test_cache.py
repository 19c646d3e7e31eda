"""Answers kept in the database: for a while, without keys, swept now and then."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from apps.tools import cache
from apps.tools.models import CachedAnswer
from kos.tools.desk import Desk
from kos.tools.registry import pick_tools
from tests.kos.tools.web import Web, payload, wire_to

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "0" * 64
SECRET = "secret-openfda-key"


async def test_what_was_put_is_got_until_its_time_is_over():
    kept = cache.DatabaseCache()
    await kept.put(KEY, {"records": [{"text": "gout \x00 \ud800"}]}, 60)
    assert await kept.get(KEY) == {"records": [{"text": "gout \x00 \ud800"}]}
    await CachedAnswer.objects.aupdate(expires=timezone.now() - timedelta(seconds=1))
    assert await kept.get(KEY) is None


async def test_a_new_answer_takes_the_place_of_the_old():
    kept = cache.DatabaseCache()
    await kept.put(KEY, {"n": 1}, 60)
    await kept.put(KEY, {"n": 2}, 60)
    assert await kept.get(KEY) == {"n": 2}


async def test_what_is_stale_is_swept(monkeypatch):
    monkeypatch.setattr(cache, "SWEEP_ONE_IN", 1)
    kept = cache.DatabaseCache()
    await kept.put(KEY, {"n": 1}, -1)
    await kept.put("1" * 64, {"n": 2}, 60)
    assert [row.key async for row in CachedAnswer.objects.all()] == ["1" * 64]


async def test_a_call_is_answered_from_the_cache_and_leaves_no_key_there():
    def answer(request):
        if request.url.host == "api.fda.gov":
            return payload("openfda_label.json")
        return payload(
            "rxnorm_rxcui_empty.json"
            if "rxcui" in request.url.path
            else "rxnorm_approximate_term_empty.json"
        )

    web = Web(answer)
    desk = Desk(keys={"openfda": SECRET}, cache=cache.DatabaseCache(), wire=wire_to(web))
    (tool,) = pick_tools(("search_drug_label",))
    first = await tool.call({"drug": "demolol"}, desk)
    number = len(web.asked)
    second = await tool.call({"drug": "demolol"}, desk)
    assert (first.mode, second.mode, len(web.asked)) == ("live", "cache", number)
    rows = [row async for row in CachedAnswer.objects.all()]
    assert rows
    assert not any(SECRET in row.key + row.value for row in rows)

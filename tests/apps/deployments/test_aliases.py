from __future__ import annotations

import pytest

from apps.deployments import aliases
from apps.deployments.aliases import UnknownModelError, pick
from apps.deployments.models import Alias, Deployment
from kos.errors import UserError
from tests.factories import make_deployment

pytestmark = pytest.mark.django_db


def promoted(*deployments: Deployment, name: str = "kos") -> Alias:
    for deployment in deployments:
        aliases.promote(name, deployment, by=None, reason="Better.")
    return Alias.objects.get(name=name)


def test_a_promotion_moves_the_alias_and_is_kept(engineer):
    one, two = make_deployment(), make_deployment()
    promoted(one)
    alias = aliases.promote("kos", two, by=engineer.user, reason="Passed the gate.")
    assert pick("kos") == two
    (last, first) = aliases.history(alias)
    assert (last.deployment, last.former, last.by.username) == (two, one, "engineer")
    assert (last.reason, first.former) == ("Passed the gate.", None)


def test_rolling_back_returns_to_the_former_one_with_a_reason():
    one, two = make_deployment(), make_deployment()
    alias = promoted(one, two)
    assert aliases.roll_back(alias, by=None, reason="It repeats itself.") == one
    assert pick("kos") == one
    (last, undone, _) = aliases.history(alias)
    assert (last.action, last.reason, last.former) == ("rolled_back", "It repeats itself.", two)
    assert undone.is_undone


def test_rolling_back_twice_goes_back_two_promotions():
    one, two, three = (make_deployment() for _ in range(3))
    alias = promoted(one, two, three)
    aliases.roll_back(alias, by=None, reason="Bad.")
    assert aliases.roll_back(alias, by=None, reason="Worse.") == one
    with pytest.raises(UserError, match="no way back"):
        aliases.roll_back(alias, by=None, reason="Worst.")


def test_a_roll_back_needs_a_reason_and_a_deployment_that_is_ready():
    one, two = make_deployment(), make_deployment()
    alias = promoted(one, two)
    with pytest.raises(UserError, match="Say why"):
        aliases.roll_back(alias, by=None, reason=" ")
    Deployment.objects.filter(pk=one.pk).update(status="stopped")
    with pytest.raises(UserError, match="which is stopped"):
        aliases.roll_back(alias, by=None, reason="Bad.")


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [("Kos!", "ready", "no alias"), ("kos", "stopped", "promote one that is ready")],
)
def test_what_cannot_be_promoted_is_refused(name, status, sentence):
    with pytest.raises(UserError, match=sentence):
        aliases.promote(name, make_deployment(status=status), by=None, reason="")


def test_promoting_what_already_answers_is_refused():
    one = make_deployment()
    promoted(one)
    with pytest.raises(UserError, match="already leads"):
        promoted(one)


def test_a_canary_answers_its_share_and_the_same_key_stays():
    one, two = make_deployment(), make_deployment()
    aliases.share(promoted(one), two, percent=20, by=None)
    route = aliases.route("kos")
    chosen = {key: route.choose(f"conversation:{key}") for key in range(2000)}
    share = sum(found == two for found in chosen.values()) / len(chosen)
    assert 0.17 < share < 0.23
    assert all(route.choose(f"conversation:{key}") == found for key, found in chosen.items())


def test_a_growing_share_takes_nobody_back():
    one, two = make_deployment(), make_deployment()
    small = aliases.Route("kos", one, two, 10)
    large = aliases.Route("kos", one, two, 30)
    keys = [f"token:{number}" for number in range(500)]
    moved = {key for key in keys if small.choose(key) == two}
    assert moved
    assert moved <= {key for key in keys if large.choose(key) == two}


def test_without_a_key_the_stable_one_answers():
    one, two = make_deployment(), make_deployment()
    aliases.share(promoted(one), two, percent=100, by=None)
    assert pick("kos") == one
    assert pick("kos", "token:1") == two


def test_a_canary_that_stopped_gets_nobody():
    one, two = make_deployment(), make_deployment()
    aliases.share(promoted(one), two, percent=100, by=None)
    Deployment.objects.filter(pk=two.pk).update(status="stopped")
    assert pick("kos", "token:1") == one


def test_a_promotion_ends_the_canary():
    one, two = make_deployment(), make_deployment()
    aliases.share(promoted(one), two, percent=50, by=None)
    alias = promoted(two)
    assert (alias.canary, alias.canary_percent) == (None, 0)


def test_a_canary_has_to_be_another_one_that_is_ready():
    one = make_deployment()
    alias = promoted(one)
    with pytest.raises(UserError, match="choose another"):
        aliases.share(alias, one, percent=5, by=None)
    with pytest.raises(UserError, match="has to be ready"):
        aliases.share(alias, make_deployment(status="stopped"), percent=5, by=None)


def test_an_alias_goes_before_a_deployment_of_its_name():
    one = make_deployment(name="kos-a")
    make_deployment(name="kos")
    promoted(one)
    assert pick("kos") == one


def test_a_number_names_one_deployment_of_several():
    old, new = make_deployment(name="kos"), make_deployment(name="kos")
    assert pick("kos") == new
    assert pick(f"kos@{old.pk}") == old


def test_an_alias_that_leads_nowhere_says_what_to_do():
    one = make_deployment(name="kos-a")
    promoted(one)
    Deployment.objects.filter(pk=one.pk).update(status="stopped")
    with pytest.raises(UnknownModelError, match="leads to 'kos-a', which is stopped"):
        pick("kos")

from __future__ import annotations

import pytest

from apps.accounts.models import User
from kos.errors import UserError
from kosweb import demo
from kosweb.sign_in import first_sign_in
from tests.factories import make_artifact, make_run, make_user


@pytest.fixture(autouse=True)
def var(db, settings, tmp_path):
    settings.VAR = tmp_path
    return tmp_path


def test_a_new_installation_gets_an_admin_whose_password_only_its_owner_can_read(var):
    sign_in = first_sign_in()
    user = User.objects.get(username=sign_in.name)
    assert user.is_admin and user.check_password(sign_in.password)
    assert sign_in.file.stat().st_mode & 0o077 == 0


def test_the_sign_in_stays_the_same():
    assert first_sign_in() == first_sign_in()


def test_no_admin_is_made_where_people_have_accounts():
    make_user()
    assert first_sign_in() is None


def test_a_demo_that_is_done_is_not_run_again():
    done = make_run("pipeline", name=demo.NAME, status="done")
    make_run("pipeline", name=demo.NAME, status="running")
    assert demo.find_pipeline() == done


def test_a_demo_under_way_is_taken_up():
    make_run("pipeline", name=demo.NAME, status="failed")
    running = make_run("pipeline", name=demo.NAME, status="running")
    assert demo.find_pipeline() == running


def test_a_base_that_was_imported_is_used_again():
    base = make_artifact("base", run=make_run("base", status="done"))
    assert demo.find_base() == base


def test_the_bases_of_the_main_job_and_of_the_chat_are_told_apart():
    config = {"kind": "base", "source": demo.CHAT_BASE.model_dump()}
    base = make_artifact("base", run=make_run("base", status="done", config=config))
    assert demo.find_base() is None
    assert demo.find_base(demo.CHAT_BASE) == base


def test_the_chat_of_the_demo_offers_every_tool():
    make_user(role="admin")
    assert not demo.is_chat_up()
    run = demo.launch_chat(make_artifact("base"))
    assert demo.is_chat_up()
    assert len(run.settings.asking.tools) == 7


def test_following_a_failed_run_says_why():
    run = make_run("base", status="failed", error="the disk is full")
    with pytest.raises(UserError, match="the disk is full"):
        list(demo.follow(run))


def test_following_shows_every_stage():
    stages = next(demo.follow(make_run("pipeline", status="running")))
    assert [stage.name for stage in stages][:2] == ["sft", "train"]

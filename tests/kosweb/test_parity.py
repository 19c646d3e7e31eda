"""Everything that the pages do is a call: no form of the console without one, or a reason."""

from __future__ import annotations

import pytest

from kosweb.api import api
from tests.routes import pages

# The calls that do what a page's form does.
CALLS: dict[str, tuple[str, ...]] = {
    "accounts:change_member": (
        "members_update",
        "members_reset",
        "members_reset_second_factor",
        "members_allow_identity",
        "members_remove_identity",
    ),
    "accounts:delete_view": ("views_delete",),
    "accounts:end_session": ("sessions_end", "sessions_end_others"),
    "accounts:keep_view": ("views_keep",),
    "accounts:members": ("members_invite",),
    "accounts:revoke": ("account_revoke_token",),
    "accounts:theme": ("account_update_me",),
    "automation:act": ("webhooks_update", "webhooks_rotate", "webhooks_test", "webhooks_delete"),
    "automation:replay": ("webhooks_replay",),
    "automation:webhook": ("webhooks_update",),
    "automation:webhooks": ("webhooks_create",),
    "chat:delete": ("chat_delete",),
    "chat:edit": ("chat_edit",),
    "chat:feedback": ("chat_give_feedback",),
    "chat:new": ("chat_begin", "chat_begin_pair"),
    "chat:pair_send": ("chat_send_to_pair",),
    "chat:pair_stop": ("chat_stop_pair",),
    "chat:pair_vote": ("chat_vote",),
    "chat:regenerate": ("chat_regenerate",),
    "chat:rename": ("chat_update",),
    "chat:revoke": ("chat_revoke",),
    "chat:send": ("chat_send",),
    "chat:share": ("chat_share",),
    "chat:show": ("chat_show",),
    "chat:stop": ("chat_stop",),
    "datasets:add": ("datasets_add_example",),
    "datasets:delete": ("datasets_delete",),
    "datasets:discard": ("datasets_discard_draft",),
    "datasets:edit": ("datasets_open_draft",),
    "datasets:import": ("datasets_import_file", "datasets_import_labels"),
    "datasets:new": ("datasets_open_draft",),
    "datasets:publish": ("datasets_publish_draft",),
    "datasets:remove": ("datasets_remove_draft_example",),
    "datasets:repeats": ("datasets_find_repeats",),
    "datasets:revert": ("datasets_revert_draft_example",),
    "datasets:sample": ("datasets_load_sample",),
    "datasets:save": ("datasets_import_file", "datasets_import_labels"),
    "datasets:start_draft": ("datasets_open_draft",),
    "datasets:undo": ("datasets_undo_step",),
    "datasets:write": ("datasets_save_draft_example", "datasets_try_answer"),
    "deployments:allow": ("deployments_set_allowance",),
    "deployments:compare": ("deployments_compare",),
    "deployments:health": ("deployments_check_health",),
    "deployments:move": ("deployments_promote",),
    "deployments:promote": ("deployments_promote",),
    "deployments:remote": ("deployments_register_remote",),
    "deployments:roll_back": ("deployments_roll_back",),
    "deployments:share": ("deployments_share",),
    "deployments:start": ("deployments_start",),
    "deployments:stop": ("deployments_stop",),
    "deployments:stop_comparison": ("deployments_stop_comparison",),
    "evals:calibrate_judge": ("evals_calibrate_judge",),
    "evals:edit_judge": ("evals_update_judge",),
    "evals:import": ("evals_import_finished",),
    "evals:judge_status": ("evals_change_judge",),
    "evals:load_benchmark": ("evals_load_benchmark",),
    "evals:new_judge": ("evals_add_judge",),
    "evals:override": ("evals_override",),
    "evals:probe_judge": ("evals_probe_judge",),
    "evals:try_judge": ("evals_try_judge",),
    "reviews:accept": ("reviews_accept",),
    "reviews:edit": ("reviews_update",),
    "reviews:fill": ("reviews_fill",),
    "reviews:item": ("reviews_put_verdict", "reviews_submit", "reviews_skip", "reviews_release"),
    "reviews:keep_labels": ("reviews_keep_labels",),
    "reviews:new": ("reviews_create", "reviews_preview"),
    "reviews:next": ("reviews_take_next",),
    "reviews:settle": ("reviews_settle",),
    "reviews:turn": ("reviews_update",),
    "runs:bulk": ("runs_bulk",),
    "runs:cancel": ("runs_stop",),
    "runs:cost": ("runs_preview", "models_costs"),
    "runs:drop_preset": ("runs_delete_preset",),
    "runs:edit_notes": ("runs_update",),
    "runs:free": ("models_free",),
    "runs:keep": ("runs_keep_preset",),
    "runs:move": ("runs_move",),
    "runs:new": ("runs_launch", "runs_clone"),
    "runs:pin": ("models_pin",),
    "runs:prioritise": ("runs_update",),
    "runs:put_back": ("runs_resume",),
    "runs:rename": ("runs_update",),
    "runs:rename_preset": ("runs_keep_preset", "runs_delete_preset"),
    "runs:resume": ("runs_resume",),
    "runs:roll_back": ("runs_roll_back",),
    "runs:stop": ("runs_stop",),
    "runs:tags": ("runs_update",),
    "runs:tensors": ("runs_preview",),
    "runs:tidy": ("runs_tidy",),
    "runs:upload": ("runs_launch",),
    "runs:validate": ("runs_validate",),
    "tools:detail": ("tools_call",),
    "tools:forget": ("tools_forget_key",),
    "tools:keys": ("tools_set_key",),
    "tools:mcp": ("tools_add_server",),
    "tools:mcp_act": (
        "tools_look_at_server",
        "tools_approve_tools",
        "tools_withdraw_server",
        "tools_remove_server",
    ),
    "traces:flag": ("traces_flag",),
}
# What has none, and why.
REASONS = {
    "accounts:authenticator": "A token must not change how its owner signs in.",
    "accounts:code": "Signing in is for browsers; programs have tokens.",
    "accounts:identity": "A token must not change how its owner signs in.",
    "accounts:settings": "account_update_me, but for the password, which no token may change.",
    "accounts:sign_in": "Signing in is for browsers; programs have tokens.",
    "accounts:sign_out": "Signing in is for browsers; sessions_end ends one.",
    "accounts:tokens": "A token must not breed; account_rotate_token gives one a new text.",
    "accounts:welcome": "A link for one browser, once.",
    "runs:columns": "How one list is drawn for one person.",
    "runs:designer": "A drawing beside the form; the numbers go into runs_launch.",
    "runs:download_form": "The form as a file; a program has the config that it sends.",
    "runs:edit": "A button of the form that adds or removes a part.",
    "runs:pin_panel": "How the charts are drawn for one person.",
    "traces:curriculum": "A drawing beside the form; the numbers go into runs_launch.",
}


@pytest.fixture
def writing(admin) -> set[str]:
    """The pages that take more than a look."""
    return {page.name for page in pages() if {*page.methods(admin)} - {"GET"}}


def test_every_form_has_a_call_or_a_reason(writing):
    assert writing - {*CALLS} - {*REASONS} == set(), "pages without a call"
    assert ({*CALLS} | {*REASONS}) - writing == set(), "pages that are no more"
    assert not {*CALLS} & {*REASONS}


def test_every_call_that_is_named_is_there():
    document = api.get_openapi_schema()
    there = {one["operationId"] for path in document["paths"].values() for one in path.values()}
    named = {name for names in CALLS.values() for name in names}
    assert named - there == set()

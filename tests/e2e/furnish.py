"""Something on every page: rows for the walks through a live console, made inside it."""

from __future__ import annotations

import json

from playwright.sync_api import Page

from tests.consoles import Console
from tests.e2e.conftest import PASSWORD

CODE = """
from django.test import Client
from django.utils import timezone
from apps.accounts.models import Role, User
from apps.accounts.services import create_token, make_user
from apps.automation import webhooks
from apps.chat.models import ChatMessage, Pairing
from apps.datasets import drafts
from apps.datasets.models import LabelSet
from apps.datasets.services import keep_version, load_sample
from apps.deployments.models import Alias, Comparison, Usage
from apps.evals.models import Judge
from apps.reviews.models import Item, Queue
from apps.runs.models import Artifact
from apps.traces.models import Grade, TraceFlag
from tests.factories import make_artifact, make_conversation, make_deployment, make_run, make_trace
known = {{user.role: user for user in User.objects.filter(username__startswith="walk-")}}
who = {{role: known.get(role) or make_user(f"walk-{{role}}", {password!r}, role) for role in Role.values}}
if not Queue.objects.filter(name="Walk").exists():
    admin = who["admin"]
    version = load_sample()
    now = timezone.now()
    base = make_artifact("base", name="walk base", size_bytes=10**8)
    train = make_run("train", name="walk train", owner=admin, dataset=version, status="done", started=now, ended=now)
    train.inputs.create(name="base", artifact=base)
    merged = make_artifact("merged", name="walk merged", run=train, size_bytes=10**8)
    make_run("merge", name="walk broken", owner=admin, status="failed", error="the disk is full", ended=now)
    make_run("train", name="walk waiting", owner=admin, dataset=version, attempts_left=0)
    evaluation = make_run("evaluate", name="walk scores", owner=admin, dataset=version, status="done", ended=now)
    evaluation.inputs.create(name="base", artifact=base)
    queue = Queue.objects.create(name="Walk", rule={{"random_percent": 100}}, repeat_percent=0)
    for number in range(3):
        for run, model, origin in ((train, "policy", "rollout"), (evaluation, "base", "evaluation")):
            trace = make_trace(run=run, model=model, origin=origin, step=1, sample=number,
                example_id="kos-sample-1", question="What helps against gout?", answer="Rest and *colchicine*.", reward=0.4)
            for place, points in enumerate((5, -3)):
                Grade.objects.create(trace=trace, position=place, key=f"k{{place}}", points=points,
                    text=f"Criterion {{place}}.", met=place == 0, grader="judge:walk@1", note="said so")
            if origin == "evaluation":
                Item.objects.create(queue=queue, trace=trace, position=number + 1, status="disputed" if number == 2 else "open")
    TraceFlag.objects.create(trace=trace, kind="unsafe", by=admin)
    for name in ("walk judge", "walk second"):
        Judge.objects.create(name=name, url="http://127.0.0.1:9", model=name)
    tasks = [example.rubric_task for example in version.examples.all()]
    keep_version(version.dataset.name, tasks[:-2], source="walk", user=admin)
    draft = drafts.open_draft(version, admin)
    changed = tasks[0].model_dump(mode="json") | {{"use_case": "writing"}}
    drafts.save(draft, tasks[0].id, changed, by=admin, revision=0)
    webhooks.create(admin, "https://hook.example/kos")
    LabelSet.objects.create(name="walk labels", digest="f" * 64, source="walk")
    deploy = make_run("deploy", name="walk deploy", owner=admin, status="done")
    deployment = make_deployment(name="walk", run=deploy, artifact=merged, engine="remote", url="http://127.0.0.1:9")
    Alias.objects.create(name="walk-alias", deployment=deployment)
    Usage.objects.create(user=admin, deployment=deployment, prompt_tokens=9, completion_tokens=9)
    Comparison.objects.create(owner=admin, prompts=["Q"], columns=[{{"pk": deployment.pk, "name": "walk", "form": "merged"}}],
        answers=[[{{"text": "A", "num_tokens": 1, "seconds": 1}}]], status="done")
    for person in (admin, who["clinician"]):
        chat = make_conversation(owner=person, deployment=deployment, title="About gout")
        said = ChatMessage.objects.create(conversation=chat, role="user", content="What helps against gout?")
        answer = ChatMessage.objects.create(conversation=chat, role="assistant", content="Rest.", parent=said, deployment=deployment)
        chat.leaf = answer
        chat.save(update_fields=["leaf"])
    sides = [make_conversation(owner=admin, deployment=deployment, title="Side by side") for _ in "ab"]
    Pairing.objects.create(owner=admin, left=sides[0], right=sides[1])
    create_token(admin, "walk token")
client = Client()
for role, user in who.items():
    client.force_login(user)
    print(role, client.session.session_key)
    client = Client()
"""


def furnish(console: Console) -> dict[str, str]:
    """Rows for every kind of page, and a session of ``walk-engineer`` and the others, by role."""
    told = console.shell(CODE.format(password=PASSWORD))
    return dict(line.split() for line in told.splitlines() if len(line.split()) == 2)


def sign_in(page: Page, console: Console, session: str) -> None:
    """Open the home page as whoever has ``session``; the form has tests of its own."""
    cookie = {"name": "kos_session", "value": session, "url": console.url}
    page.context.add_cookies([cookie])  # type: ignore[list-item]
    page.goto(f"{console.url}/")


def pages_of(console: Console, name: str) -> list[tuple[str, str]]:
    """URL name and path of each page that ``name`` gets."""
    told = console.told("pages", name)
    rows = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return [(row["name"], row["path"]) for row in rows]

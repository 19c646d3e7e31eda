"""A console with one of everything in it, and the ids of what a path may name."""

from __future__ import annotations

from django.utils import timezone

from apps.accounts import saved
from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.automation import hooks, webhooks
from apps.chat import sharing
from apps.chat.models import ChatMessage, Pairing
from apps.datasets import drafts, services
from apps.datasets.models import Work
from apps.deployments.models import Alias, Comparison
from apps.evals.models import Judge
from apps.reviews.models import Item, Queue
from apps.runs.events import say
from apps.runs.models import Metric, RunInput
from apps.runs.start import keeping
from apps.tools import mcp
from apps.tools import services as tools
from apps.traces.models import Grade
from kos.data.rubrics import RubricItem, RubricTask, Turn
from tests.factories import (
    make_artifact,
    make_conversation,
    make_deployment,
    make_run,
    make_trace,
    make_version,
)

TASK = RubricTask(
    id="gout",
    messages=(Turn(role="user", content="Which dose of colchicine?"),),
    rubric=(RubricItem(key="k1", text="Names a dose.", points=5),),
    split="train",
)


def filled(user: User) -> dict[str, int | str]:
    """Fill the database; the ids by the path that names them, longest first where it matters."""
    version = make_version(TASK, num_examples=1)
    services.keep_version("drafted", [TASK], source="test", user=user)
    draft = drafts.open_draft(version, user)
    drafts.save(draft, "gout", {**TASK.model_dump(mode="json")}, by=user, revision=0)
    run = make_run("train", status="failed", owner=user, dataset=version, tags=["night"])
    for step in range(5):
        Metric.objects.create(
            run=run, name="loss", step=step, value=1 / (step + 1), at=timezone.now()
        )
        say(run, "step", step=step, metrics={"loss": 1.0})
    make_run("base", status="queued", owner=user)
    report = {"models": [{"model": "base", "value": 0.5}], "slices": [], "items": []}
    evaluation = make_run("evaluate", status="done", owner=user, dataset=version)
    artifact = make_artifact("base", run=run)
    artifact.location.parent.mkdir(parents=True, exist_ok=True)
    artifact.location.write_bytes(b"weights" * 100)
    RunInput.objects.create(run=evaluation, name="model", artifact=artifact)
    found_report = make_artifact("report", run=evaluation, summary=report)
    trace = make_trace(run=evaluation, model="base", example_id="gout", origin="evaluation")
    grade = Grade.objects.create(
        trace=trace, position=0, key="k1", text="Names a dose.", points=5, met=True, grader="rule"
    )
    queue = Queue.objects.create(name="queue", rule={"random_percent": 100}, repeat_percent=0)
    item = Item.objects.create(queue=queue, trace=trace, position=1)
    # It serves no more: an answer would be asked of a server that is not there.
    deployment = make_deployment(status="stopped")
    alias = Alias.objects.create(name="kos", deployment=deployment)
    talk = make_conversation(owner=user, deployment=deployment)
    asked = ChatMessage.objects.create(conversation=talk, role="user", content="Which dose?")
    answer = ChatMessage.objects.create(
        conversation=talk, role="assistant", content="0.5 mg.", parent=asked, trace=trace
    )
    talk.leaf = answer
    talk.save(update_fields=["leaf"])
    link = sharing.share(talk)
    sides = [make_conversation(owner=user, deployment=deployment) for _ in range(2)]
    pair = Pairing.objects.create(owner=user, left=sides[0], right=sides[1])
    compared = Comparison.objects.create(
        owner=user, prompts=["a"], columns=[{"pk": 1}], answers=[[None]], status="done"
    )
    judge = Judge.objects.create(name="judge", url="http://localhost", model="m")
    preset = keeping.keep_preset(user, "base", "mine", "", {})
    hook = webhooks.create(user, "https://example.org/hook").webhook
    [delivery] = hooks.queue([hook], "run.done", {"id": run.pk})
    work = Work.objects.create(kind="read", status="waiting", by=user)
    token, _ = accounts.create_token(user, "spare")
    return {
        "/api/runs/presets/{id}": preset.pk,
        "/api/runs/{id}": run.pk,
        "/api/models/{id}": artifact.pk,
        "/api/datasets/drafts/steps/{id}": draft.steps.get().pk,
        "/api/datasets/drafts/{id}": draft.pk,
        "/api/datasets/examples/{id}": version.examples.get().pk,
        "/api/datasets/work/{id}": work.pk,
        "/api/datasets/{id}": version.pk,
        "/api/traces/{id}": trace.pk,
        "/api/evals/runs/{id}": evaluation.pk,
        "/api/evals/grades/{id}": grade.pk,
        "/api/evals/judges/{id}": judge.pk,
        "/api/evals/{id}": found_report.pk,
        "/api/reviews/items/{id}": item.pk,
        "/api/reviews/judges/{id}": judge.pk,
        "/api/reviews/{id}": queue.pk,
        "/api/deployments/comparisons/{id}": compared.pk,
        "/api/deployments/{id}": deployment.pk,
        "/api/chat/messages/{id}": answer.pk,
        "/api/chat/shares/{id}": link.pk,
        "/api/chat/pairs/{id}": pair.pk,
        "/api/chat/{id}": talk.pk,
        "/api/webhooks/deliveries/{id}": delivery.pk,
        "/api/webhooks/{id}": hook.pk,
        "/api/tokens/{id}": token.pk,
        "/api/members/{id}": user.pk,
        "/api/views/{id}": saved.keep_view(user, "runs:list", "mine", "kind=train").pk,
        "/api/tools/keys/{id}": tools.set_key("nhs", "nhs-key-of-a-test", by=user).pk,
        "/api/tools/mcp/{id}": mcp.add("records", url="https://records.example.org/mcp").pk,
        "grade_pk": grade.pk,
        "name": alias.name,
        "external_id": "gout",
    }

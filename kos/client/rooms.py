"""The smaller rooms of the API: deployments, evaluations, reviews, traces, webhooks, search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from kos.client.rows import Deployment, Record
from kos.client.wire import Wire


class Deployments:
    """``kos.deployments``: models that answer, and the aliases that lead to them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[Deployment]:
        """Deployments, newest first."""
        for item in self._wire.pages("/api/deployments", limit=limit, **filters):
            yield Deployment.of(item)

    def get(self, deployment: int) -> Deployment:
        """One deployment."""
        return Deployment.of(self._wire.get(f"/api/deployments/{deployment}"))

    def live(self, deployment: int) -> dict[str, Any]:
        """Its numbers of the last five minutes."""
        found: dict[str, Any] = self._wire.get(f"/api/deployments/{deployment}/live")
        return found

    def stop(self, deployment: int, *, reason: str = "") -> Deployment:
        """Stop serving."""
        path = f"/api/deployments/{deployment}/stop"
        return Deployment.of(self._wire.post(path, reason=reason))

    def start(self, deployment: int, *, reason: str = "") -> int:
        """Serve a stopped one again; the number of the run that does it."""
        path = f"/api/deployments/{deployment}/start"
        return int(self._wire.post(path, reason=reason)["run_id"])

    def aliases(self) -> Sequence[Record]:
        """Every alias and where it leads."""
        return [Record.of(one) for one in self._wire.pages("/api/deployments/aliases")]

    def promote(self, alias: str, deployment: int, *, reason: str) -> Record:
        """Let an alias lead to another deployment; ``reason`` is kept in its history."""
        body = {"deployment": deployment, "reason": reason}
        return Record.of(self._wire.post(f"/api/deployments/aliases/{alias}/promote", body))

    def roll_back(self, alias: str, *, reason: str = "") -> Record:
        """Undo the last promotion."""
        path = f"/api/deployments/aliases/{alias}/roll-back"
        return Record.of(self._wire.post(path, {"reason": reason}))


class Evals:
    """``kos.evals``: numbers of evaluations, comparisons and the gate."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[Record]:
        """Evaluated runs with their headline scores, newest first."""
        for item in self._wire.pages("/api/evals/runs", limit=limit, **filters):
            yield Record.of(item)

    def get(self, run: int, **wanted: Any) -> dict[str, Any]:
        """A run's numbers."""
        found: dict[str, Any] = self._wire.get(f"/api/evals/runs/{run}", **wanted)
        return found

    def compare(self, baseline: str, candidate: str, **wanted: Any) -> dict[str, Any]:
        """Two sides, each written ``run:model``, on the prompts they share."""
        found: dict[str, Any] = self._wire.get(
            "/api/evals/compare", baseline=baseline, candidate=candidate, **wanted
        )
        return found

    def gate(self, candidate: str, baseline: str, **limits: Any) -> dict[str, Any]:
        """Whether the candidate may pass: look at ``passed``. Sides are ``run:model``."""
        body = {"candidate": _side(candidate), "baseline": _side(baseline), **limits}
        found: dict[str, Any] = self._wire.post("/api/evals/gate", body)
        return found


class Reviews:
    """``kos.reviews``: queues of answers that people judge."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, *, limit: int | None = None) -> Iterator[Record]:
        """Queues with how far they are."""
        for item in self._wire.pages("/api/reviews/", limit=limit):
            yield Record.of(item)

    def agreement(self, queue: int) -> dict[str, Any]:
        """Kappa, alpha and two-way tables of a queue."""
        found: dict[str, Any] = self._wire.get(f"/api/reviews/{queue}/agreement")
        return found


class Traces:
    """``kos.traces``: every answer with its tools, sources and grades."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self, *, limit: int | None = None, **filters: Any) -> Iterator[Record]:
        """Answers, newest first; filters as on the page (``q``, ``run``, ``flag`` ...)."""
        for item in self._wire.pages("/api/traces/", limit=limit, **filters):
            yield Record.of(item)

    def get(self, trace: int) -> Record:
        """One answer, whole."""
        return Record.of(self._wire.get(f"/api/traces/{trace}"))


class NewWebhook(NamedTuple):
    """A webhook and its secret, which is known only now."""

    webhook: Record
    secret: str


class Webhooks:
    """``kos.webhooks``: addresses of yours that Kos calls when something happened."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def list(self) -> Sequence[Record]:
        """Your webhooks."""
        return [Record.of(one) for one in self._wire.pages("/api/webhooks/")]

    def create(self, url: str, kinds: Sequence[str] = ()) -> NewWebhook:
        """Tell ``url`` of these kinds of events, or of all; the secret is shown this once."""
        made = self._wire.post("/api/webhooks/", {"url": url, "kinds": [*kinds]})
        return NewWebhook(Record.of(made["webhook"]), made["secret"])

    def rotate(self, webhook: Record | int) -> NewWebhook:
        """A new secret; for a day the old one signs as well."""
        made = self._wire.post(f"/api/webhooks/{_id(webhook)}/rotate")
        return NewWebhook(Record.of(made["webhook"]), made["secret"])

    def test(self, webhook: Record | int) -> Record:
        """Send a test event."""
        return Record.of(self._wire.post(f"/api/webhooks/{_id(webhook)}/test"))

    def delete(self, webhook: Record | int) -> None:
        """Drop one with its deliveries."""
        self._wire.send("DELETE", f"/api/webhooks/{_id(webhook)}")

    def deliveries(self, webhook: Record | int, *, limit: int | None = None) -> Iterator[Record]:
        """What was sent to it, newest first, and what came of it."""
        path = f"/api/webhooks/{_id(webhook)}/deliveries"
        for item in self._wire.pages(path, limit=limit):
            yield Record.of(item)


def _side(text: str) -> dict[str, Any]:
    run, _, model = text.partition(":")
    return {"run": int(run), "model": model}


def _id(one: Record | int) -> int:
    return one.id if isinstance(one, Record) else one

"""A Celery worker whose training is a fake job: ``python -m tests.workers.fake_worker``."""

from __future__ import annotations

from kosweb.celery import app
from workers.jobs import WORK

if __name__ == "__main__":
    WORK["train"] = "tests.workers.fake_jobs:count"
    options = ["-P", "threads", "-c", "1", "-Q", "gpu", "--without-gossip", "--without-mingle"]
    app.worker_main(["worker", *options])

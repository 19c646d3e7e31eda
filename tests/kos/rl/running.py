"""Small trainings for the tests: run one, stop one, look at what it left."""

from __future__ import annotations

from safetensors.torch import load_file

from kos.config import Adam, Lora, Sampling, Train
from kos.errors import CancelledError
from kos.events import LocalJob, Note, RolloutDone, StepDone

LORA = Lora(rank=4, alpha=8)
TRAIN = Train(
    steps=4,
    groups=3,
    group_size=4,
    substeps=2,
    rewards=(),
    lora=LORA,
    adam=Adam(learning_rate=1e-2),
    sampling=Sampling(max_tokens=8),
    checkpoint_seconds=0,
)


def run(work, config, folder, inputs, on_event=None) -> LocalJob:
    folder.mkdir(exist_ok=True)
    job = LocalJob(folder, inputs, seed=7, on_event=on_event)
    work(config, job)
    return job


def weights(job):
    return load_file(job.folder / "adapter" / "adapter_model.safetensors")


def steps(job):
    return [event for event in job.events if isinstance(event, StepDone)]


def rollouts(job):
    return [event for event in job.events if isinstance(event, RolloutDone)]


def notes(job, level=None):
    found = [event for event in job.events if isinstance(event, Note)]
    return [note.text for note in found if level in (None, note.level)]


def stop_at(kind, number):
    """Raise at the ``number``-th event of a kind, as a pressed stop button does."""
    seen = []

    def on_event(event):
        seen.extend([event] * isinstance(event, kind))
        if len(seen) == number and event is seen[-1]:
            raise CancelledError

    return on_event

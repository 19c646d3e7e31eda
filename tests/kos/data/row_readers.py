"""Everything that reads a file of rows, each from its path (shaped as a run's finished rows)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kos.data import answers, trajectories
from kos.data.answers import GradedAnswer
from kos.data.labels import read_labels
from kos.data.readers import kind_of, read_file
from kos.evals.finished import read_finished

READERS: tuple[Callable[[Path], object], ...] = (
    read_file,
    kind_of,
    read_labels,
    read_finished,
    lambda path: answers.read(path, GradedAnswer),
    lambda path: trajectories.read(path.parent),
)

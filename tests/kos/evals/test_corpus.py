"""The desk of an evaluation: the corpus that the worker lends, and nothing live."""

from __future__ import annotations

from pathlib import Path

from kos.config import Evaluate
from kos.evals import asked
from kos.evals.answering import AtEndpoint
from kos.evals.asked import ServedModel
from kos.events import LocalJob
from kos.tools.desk import NoCorpus


class Shelf:
    """A corpus that notes where it was opened."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.is_prepared = folder, False

    @classmethod
    def open(cls, folder: Path) -> Shelf:
        return cls(folder)

    def prepare(self) -> None:
        self.is_prepared = True


def desk_of(tmp_path: Path, tools: tuple[str, ...], inputs) -> object:
    at = AtEndpoint(tools=tools)
    return ServedModel.open(Evaluate(answering=at), at, LocalJob(tmp_path, inputs), []).desk


def test_a_job_reads_the_corpus_it_was_lent_and_nothing_live(tmp_path, monkeypatch):
    monkeypatch.setattr(asked, "Corpus", Shelf)
    desk = desk_of(tmp_path, ("search_icd",), {"corpus": tmp_path})
    assert desk.is_offline
    assert (desk.corpus.folder, desk.corpus.is_prepared) == (tmp_path, True)


def test_without_tools_no_corpus_is_built(tmp_path, monkeypatch):
    monkeypatch.setattr(asked, "Corpus", None)
    desk = desk_of(tmp_path, (), {"corpus": tmp_path})
    assert desk.is_offline
    assert isinstance(desk.corpus, NoCorpus)

"""A corpus to import into."""

from __future__ import annotations

import pytest

from kos.tools.corpus import Corpus


@pytest.fixture
def own_corpus(corpus, tmp_path) -> Corpus:
    """The same embedded file in a folder of its own."""
    path = corpus.prepare()
    (tmp_path / path.name).symlink_to(path)
    return Corpus.open(tmp_path)

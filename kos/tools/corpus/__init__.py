"""The records on this machine: what ships embedded, and what was imported from public files."""

from kos.tools.corpus.index import Corpus

__all__ = ["Corpus"]

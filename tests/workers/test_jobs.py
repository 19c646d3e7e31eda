from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from kos.config import JOBS
from workers.jobs import WORK


def test_every_kind_but_the_pipeline_has_its_work():
    assert set(WORK) == set(JOBS) - {"pipeline"}


@pytest.mark.parametrize("work", WORK.values())
def test_the_work_is_where_the_table_says(work):
    module, _, name = work.partition(":")
    # Read, not imported: these modules bring torch.
    tree = ast.parse(Path(find_spec(module).origin).read_text())
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}

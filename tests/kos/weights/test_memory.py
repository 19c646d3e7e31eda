"""Counted in page faults, in a process of its own: the setting is the whole process's."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKS = """
import resource, sys
import numpy as np
from kos.weights import memory

if sys.argv[1] == "kept":
    memory.keep_freed()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    blocks = [np.ones(500_000, dtype=np.float32) for _ in range(8)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    told = subprocess.run(
        [sys.executable, "-c", BLOCKS, how], capture_output=True, text=True, check=True
    )
    return int(told.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_freed_blocks_make_room_for_the_next_ones():
    assert faults("kept") < faults("given back") / 5

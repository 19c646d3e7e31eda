"""Freed memory stays with the process while a model streams through it.

glibc gives the free end of its heap back above 128 KiB, and maps large arrays anew each time:
what every block of rows needs would then cost its thousands of page faults again, half as much
time as the arithmetic.
"""

from __future__ import annotations

import ctypes

# malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# What comes from the heap at most, and how much of its free end is kept, in bytes.
FROM_HEAP, KEPT = 1 << 25, 1 << 28


def keep_freed() -> None:
    """Take blocks from the heap and keep 256 MiB of it; nothing where malloc is not glibc's."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, FROM_HEAP)
        mallopt(M_TRIM_THRESHOLD, KEPT)

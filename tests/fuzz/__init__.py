"""Everything that reads what strangers wrote, under bytes that nobody would write.

``targets`` says what is read, ``seeds/`` holds inputs to begin with. ``test_targets`` gives every
target its seeds and some hundred changed ones in each run of the tests; ``python -m tests.fuzz``
hunts for as long as one likes, led by what is reached.
"""

from __future__ import annotations

NAMES = (
    *("parser", "calls", "decoder", "stream", "events", "declared", "verdict", "yaml", "rows"),
    *("shard", "checkpoint", "adapter", "gguf", "packed"),
)

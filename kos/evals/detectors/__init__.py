"""What training breaks, seen in raw text alone: leaks, open calls, loops, strange words."""

from kos.evals.detectors.flags import flags, has_unclosed_call, repeats

__all__ = ["flags", "has_unclosed_call", "repeats"]

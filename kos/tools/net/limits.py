"""How often a host may be asked: a token bucket each, in this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Rate:
    """``per_second`` requests in the long run, ``burst`` of them at once."""

    per_second: float
    burst: int = 1


def per_minute(number: int, burst: int = 1) -> Rate:
    """The rate of ``number`` requests in a minute."""
    return Rate(number / 60, burst)


# What the hosts publish; where they publish nothing, a polite guess of ours.
RATES: Mapping[str, Rate] = {
    "rxnav.nlm.nih.gov": Rate(20, 20),
    "api.fda.gov": per_minute(240, 10),
    "dailymed.nlm.nih.gov": Rate(5, 5),
    "eutils.ncbi.nlm.nih.gov": Rate(3, 3),
    "clinicaltrials.gov": per_minute(50, 5),
    "wsearch.nlm.nih.gov": per_minute(85, 5),
    "connect.medlineplus.gov": per_minute(100, 5),
    "api.service.nhs.uk": per_minute(60, 5),
    "api.search.brave.com": Rate(1),
    "api.tavily.com": per_minute(100, 5),
    "api.exa.ai": Rate(5, 5),
    "clinicaltables.nlm.nih.gov": Rate(5, 5),
    "id.who.int": Rate(5, 5),
    "icdaccessmanagement.who.int": Rate(1, 2),
}
NCBI_WITH_KEY = Rate(10, 10)
OTHERS = Rate(2, 4)


@dataclass
class Buckets:
    """One bucket a name. Pure arithmetic on a clock, so that any event loop may share them."""

    clock: Callable[[], float] = time.monotonic
    _full_at: dict[str, float] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def reserve(self, name: str, rate: Rate, *, within: float = float("inf")) -> float | None:
        """Take one token and say how many seconds to wait first; None, and none taken, when
        that would be more than ``within``.

        Generic cell rate: ``_full_at`` is when the bucket would be full again.
        """
        with self._lock:
            now = self.clock()
            full_at = max(now, self._full_at.get(name, now)) + 1 / rate.per_second
            # Rounded, for sums of floats leave picoseconds behind.
            wait = max(0.0, round(full_at - now - rate.burst / rate.per_second, 6))
            if wait > within:
                return None
            self._full_at[name] = full_at
            return wait

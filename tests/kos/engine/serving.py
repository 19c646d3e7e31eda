"""A Tinker-compatible server in this process, for tests that speak to one."""

from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kos.engine.server.serving import Options, running
from tests.kos.engine import tiny

KEY = "tml-test"


@contextmanager
def server(policy: Path, folder: Path, **options: Any) -> Iterator[str]:
    """The base URL of a server of the tiny policy, called ``tiny``, that asks for ``KEY``."""
    settings = {"key": KEY, "alpha": 8.0} | options
    with running(
        Options(base=policy, folder=folder, name="tiny", **settings), tiny.MACHINE
    ) as url:
        try:
            yield url
        finally:
            _let_go()


def _let_go() -> None:
    """Close what the SDK keeps open for the life of a process, and collect what it leaves lying:
    another test would be blamed for its sockets.
    """
    from tinker.lib.internal_client_holder import sessionless_holder_cache

    holders = sessionless_holder_cache._holders
    while holders:
        _, holder = holders.popitem()
        asyncio.run_coroutine_threadsafe(holder.aclose(), holder.get_loop()).result(10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()

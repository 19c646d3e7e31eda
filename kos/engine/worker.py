"""One process of the torchrun engine: does what its parent says, in step with the others.

    torchrun --nproc-per-node 2 -m kos.engine.worker ADDRESS PARENT

``kos.engine.torchrun`` starts these processes itself. ADDRESS is the Unix socket of the parent
and PARENT its process id, with which this process dies (0: it does not). What goes over the
socket is pickled and signed with the key in ``KOS_ENGINE_KEY``.
"""

from __future__ import annotations

import ctypes
import datetime
import os
import signal
import sys
import traceback
from dataclasses import replace
from multiprocessing.connection import Client, Connection
from typing import Any

import torch
import torch.distributed as dist

from kos.engine.calls import KEY, Broken, Done, Setup, Told
from kos.engine.sharded import ShardedEngine
from kos.errors import UserError

PR_SET_PDEATHSIG = 1
# Between two calls nobody waits for anybody; within one, a process lags by a batch at most.
PATIENCE = datetime.timedelta(minutes=30)


def main() -> int:
    """Open the engine, then do call after call until the parent hangs up."""
    address, parent = sys.argv[1], int(sys.argv[2])
    _die_with(parent)
    rank = int(os.environ["RANK"])
    key = bytes.fromhex(os.environ.pop(KEY))
    with Client(address, "AF_UNIX", authkey=key) as parent_line:
        parent_line.send(rank)
        try:
            _serve(parent_line, _open(parent_line.recv(), rank))
        except (EOFError, BrokenPipeError):
            # The parent hung up: that is the end.
            return 0
        except UserError as error:
            parent_line.send(Broken(str(error), is_user_error=True))
        # The parent must learn of any end, or it would wait for ever.
        except BaseException:
            parent_line.send(Broken(traceback.format_exc(), is_user_error=False))
            raise
    if dist.is_initialized():
        dist.destroy_process_group()
    return 0


def _open(setup: Setup, rank: int) -> ShardedEngine:
    machine = setup.machine
    if machine.device.startswith("cuda"):
        local_rank = int(os.environ.get("LOCAL_RANK", rank))
        torch.cuda.set_device(local_rank)
        machine = replace(machine, device=f"cuda:{local_rank}")
    dist.init_process_group(
        os.environ["KOS_ENGINE_BACKEND"],
        init_method=os.environ.get("KOS_ENGINE_MEETING", "env://"),
        rank=rank,
        world_size=int(os.environ["WORLD_SIZE"]),
        timeout=PATIENCE,
    )
    return ShardedEngine.open(
        setup.base, machine, lora=setup.lora, seed=setup.seed, adapter=setup.adapter
    )


def _serve(parent: Connection[Any, Any], engine: ShardedEngine) -> None:
    parent.send(Done(None, engine.version))
    while (call := parent.recv()) is not None:
        options = dict(call.options)
        if call.tells:
            options["on_progress"] = lambda done, total: parent.send(Told(done, total))
        result = getattr(engine, call.method)(*call.args, **options)
        parent.send(Done(result, engine.version))


def _die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent ends, whatever ended it."""
    if parent == 0 or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent ended before its engine began")


if __name__ == "__main__":
    sys.exit(main())

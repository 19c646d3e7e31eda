"""The engine over several processes of this machine: the parent's side.

``kos.engine.worker`` is what the processes run. Each is told every call; sampling is split by
prompts, and a prompt's random numbers are the same wherever it is drawn.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Listener, wait
from pathlib import Path
from typing import Any

import kos
from kos.config.base import Adam, Lora
from kos.engine.base import (
    Datum,
    ForwardOutput,
    OnProgress,
    Sampled,
    SamplingParams,
    spread,
)
from kos.engine.calls import KEY, Broken, Call, Done, Setup, Told
from kos.engine.capabilities import Capability
from kos.engine.machine import Machine
from kos.engine.models import Chat
from kos.errors import UserError
from kos.rl.losses.base import Loss

# Loading torch and a model on a busy machine.
START_SECONDS = 600.0
STOP_SECONDS = 10.0


class TorchrunEngine:
    """An engine of ``processes`` processes; all of them die with this one."""

    capabilities: frozenset[Capability] = frozenset(
        {"lora", "sample", "forward", "custom_loss", "prompt_logprobs", "temperature", "adapter"}
    )

    def __init__(self, setup: Setup, *, processes: int, backend: str) -> None:
        self.chat = Chat.load(setup.base)
        self.version = 0
        self._machine = setup.machine
        self._backend = backend
        self._folder = Path(tempfile.mkdtemp(prefix="kos-engine-"))
        self._children: list[subprocess.Popen[bytes]] = []
        self._lines: list[Connection[Any, Any]] = []
        try:
            self._start(setup, processes)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls,
        base: Path,
        machine: Machine,
        *,
        lora: Lora,
        seed: int,
        processes: int,
        backend: str = "auto",
        adapter: Path | None = None,
    ) -> TorchrunEngine:
        """Start the processes; UserError when the machine has too few GPUs for them."""
        is_cuda = machine.device.startswith("cuda") and backend != "gloo"
        if is_cuda:
            _check_gpus(processes)
        elif backend == "nccl":
            raise UserError("the backend nccl needs GPUs and this machine has none; choose gloo")
        threads = max(1, machine.threads // processes)
        own = Machine("cuda" if is_cuda else "cpu", machine.dtype, threads)
        setup = Setup(base.resolve(), own, lora, seed, adapter and adapter.resolve())
        return cls(setup, processes=processes, backend="cpu:gloo,cuda:nccl" if is_cuda else "gloo")

    def describe(self) -> str:
        """Where it computes."""
        return f"{len(self._children)} processes over {self._backend}. {self._machine.describe()}"

    def close(self) -> None:
        """End the processes."""
        for line in self._lines:
            with suppress(OSError):
                line.send(None)
            line.close()
        if not self._lines:
            # They never reached the point of waiting for a word.
            for child in self._children:
                child.kill()
        for child in self._children:
            try:
                child.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def forward(
        self, data: Sequence[Datum], loss: Loss, *, temperature: float = 1.0
    ) -> ForwardOutput:
        """The loss without gradients."""
        output: ForwardOutput = self._call("forward", list(data), loss, temperature=temperature)
        return output

    def forward_backward(
        self,
        data: Sequence[Datum],
        loss: Loss,
        *,
        temperature: float = 1.0,
        on_progress: OnProgress | None = None,
    ) -> ForwardOutput:
        """The loss, its gradient added to what has gathered since the last ``optim_step``."""
        output: ForwardOutput = self._call(
            "forward_backward",
            list(data),
            loss,
            on_progress=on_progress,
            temperature=temperature,
        )
        return output

    def optim_step(self, adam: Adam) -> dict[str, float]:
        """Apply the gathered gradients and clear them; returns ``grad_norm`` before clipping."""
        numbers: dict[str, float] = self._call("optim_step", adam)
        return numbers

    def save_state(
        self, path: Path, *, step: int, memory: Mapping[str, Any] | None = None
    ) -> None:
        """Write what ``LocalEngine`` would: either takes up the other's."""
        self._call("save_state", path.resolve(), step=step, memory=dict(memory or {}))

    def load_state(self, path: Path) -> tuple[int, dict[str, Any]]:
        """Take up what ``save_state`` wrote; returns its step and memory."""
        found: tuple[int, dict[str, Any]] = self._call("load_state", path.resolve())
        return found

    def reset_optimiser(self) -> None:
        """Forget moments and step count."""
        self._call("reset_optimiser")

    def save_weights(self, folder: Path) -> None:
        """Write the adapter as a peft folder."""
        self._call("save_weights", folder.resolve())

    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        params: SamplingParams | Sequence[SamplingParams],
        *,
        num_samples: int = 1,
        on_progress: OnProgress | None = None,
    ) -> list[list[Sampled]]:
        """Answers from the weights as they are now, every process some of the prompts."""
        count = len(self._lines)
        each = spread(params, len(prompts))
        shares = [
            Call(
                "sample",
                (prompts[rank::count], each[rank::count]),
                {"num_samples": num_samples},
                tells=on_progress is not None,
            )
            for rank in range(count)
        ]
        found = self._ask(shares, on_progress)
        answers: list[list[Sampled]] = [[] for _ in prompts]
        for rank, drawn in enumerate(found):
            answers[rank::count] = drawn
        return answers

    def compute_logprobs(self, sequences: Sequence[Sequence[int]]) -> list[list[float]]:
        """Log-probability of each token but the first, given those before it."""
        found: list[list[float]] = self._call("compute_logprobs", [list(ids) for ids in sequences])
        return found

    def _start(self, setup: Setup, processes: int) -> None:
        key = secrets.token_bytes(32)
        address = str(self._folder / "parent")
        with Listener(address, "AF_UNIX", backlog=processes, authkey=key) as listener:
            # A process that dies before it calls must not be waited for.
            listener._listener._socket.settimeout(1.0)  # type: ignore[attr-defined]
            for rank in range(processes):
                self._children.append(self._spawn(rank, processes, address, key))
            self._lines = self._accept(listener, processes)
        for line in self._lines:
            line.send(setup)
        self._results(None)

    def _accept(self, listener: Listener, count: int) -> list[Connection[Any, Any]]:
        lines: dict[int, Connection[Any, Any]] = {}
        for _ in range(int(START_SECONDS)):
            try:
                line = listener.accept()
            except TimeoutError:
                self._check_children()
                continue
            lines[line.recv()] = line
            if len(lines) == count:
                return [lines[rank] for rank in range(count)]
        raise UserError("the engine's processes did not start in time; is the machine overloaded?")

    def _spawn(self, rank: int, count: int, address: str, key: bytes) -> subprocess.Popen[bytes]:
        root = str(Path(kos.__file__).parents[1])
        threads = str(self._machine.threads)
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(count),
            "OMP_NUM_THREADS": threads,
            # All of them are on this machine; its name may lead elsewhere.
            "GLOO_SOCKET_IFNAME": "lo",
            "KOS_ENGINE_BACKEND": self._backend,
            "KOS_ENGINE_MEETING": f"file://{self._folder / 'meeting'}",
            KEY: key.hex(),
        }
        command = [sys.executable, "-m", "kos.engine.worker", address, str(os.getpid())]
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)

    def _call(
        self, method: str, *args: Any, on_progress: OnProgress | None = None, **options: Any
    ) -> Any:
        """Let every process do the same; returns what the first says."""
        calls = [
            Call(method, args, options, tells=rank == 0 and on_progress is not None)
            for rank in range(len(self._lines))
        ]
        return self._ask(calls, on_progress)[0]

    def _ask(self, calls: Sequence[Call], on_progress: OnProgress | None) -> list[Any]:
        for line, call in zip(self._lines, calls, strict=True):
            line.send(call)
        return self._results(on_progress)

    def _results(self, on_progress: OnProgress | None) -> list[Any]:
        """What every process returned, by rank."""
        ranks = {line: rank for rank, line in enumerate(self._lines)}
        told = [0] * len(ranks)
        results: list[Any] = [None] * len(ranks)
        waiting = set(self._lines)
        while waiting:
            for line in wait(list(waiting)):
                assert isinstance(line, Connection)
                rank = ranks[line]
                match self._hear(line):
                    case Told(done, total) if on_progress is not None:
                        told[rank] = done
                        on_progress(sum(told), total)
                    case Done(result, version):
                        results[rank], self.version = result, version
                        waiting.discard(line)
        return results

    def _hear(self, line: Connection[Any, Any]) -> Any:
        try:
            word = line.recv()
        except (EOFError, ConnectionResetError):
            self._check_children()
            raise RuntimeError("a process of the engine hung up") from None
        if not isinstance(word, Broken):
            return word
        # The others wait for it in a collective, and nobody will come.
        for child in self._children:
            child.kill()
        if word.is_user_error:
            raise UserError(word.error)
        raise RuntimeError(f"a process of the engine failed:\n{word.error}")

    def _check_children(self) -> None:
        for rank, child in enumerate(self._children):
            if code := child.poll():
                for other in self._children:
                    other.kill()
                raise RuntimeError(
                    f"process {rank} of the engine ended with code {code}; its words are in the "
                    "run's log"
                )


def _check_gpus(processes: int) -> None:
    import torch

    found = torch.cuda.device_count()
    if found < processes:
        raise UserError(
            f"{processes} processes need a GPU each and this machine has {found}; lower "
            "engine.processes"
        )

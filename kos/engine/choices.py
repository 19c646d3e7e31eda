"""Which engine trains, and which one samples. Knobs only: the web process reads this file.

A file that registers a choice here must not load torch; ``open`` imports what it needs. What an
engine ``offers`` is known before anything is opened or spent (``kos.engine.needs``).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from kos.engine.capabilities import Capability
from kos.registry import Choice, Registry

if TYPE_CHECKING:
    from kos.config.base import Lora
    from kos.engine.base import Engine
    from kos.engine.machine import Machine
    from kos.events import Job

EVERYTHING: frozenset[Capability] = frozenset(
    {"lora", "sample", "forward", "custom_loss", "prompt_logprobs", "temperature", "adapter"}
)


class EngineChoice(Choice):
    """Where the policy is trained."""

    offers: ClassVar[frozenset[Capability]] = EVERYTHING

    def open(
        self, job: Job, machine: Machine, *, lora: Lora, base: Path, adapter: Path | None = None
    ) -> Engine:
        """The engine with a new adapter, or with ``adapter``, seeded by ``job.seed``.

        Raises UserError when it cannot be had: what is missing, and what would do.
        """
        raise NotImplementedError


ENGINES: Registry[EngineChoice] = Registry("engine")


@ENGINES.register
class Local(EngineChoice):
    """In the job's own process, on the CPU or one GPU."""

    kind: Literal["local"] = "local"

    def open(
        self, job: Job, machine: Machine, *, lora: Lora, base: Path, adapter: Path | None = None
    ) -> Engine:
        """torch and peft, here."""
        from kos.engine.local import LocalEngine

        return LocalEngine.open(base, machine, lora=lora, seed=job.seed, adapter=adapter)


@ENGINES.register
class Torchrun(EngineChoice):
    """Over several processes of this machine, the base in shards (FSDP2)."""

    kind: Literal["torchrun"] = "torchrun"
    processes: int = Field(2, ge=1, le=64, description="Processes; one a GPU where there are any.")
    backend: Literal["auto", "gloo", "nccl"] = Field(
        "auto", description="How they talk: nccl between GPUs, gloo on the CPU."
    )

    def open(
        self, job: Job, machine: Machine, *, lora: Lora, base: Path, adapter: Path | None = None
    ) -> Engine:
        """Processes that die with this one."""
        from kos.engine.torchrun import TorchrunEngine

        return TorchrunEngine.open(
            base,
            machine,
            lora=lora,
            seed=job.seed,
            processes=self.processes,
            backend=self.backend,
            adapter=adapter,
        )


@ENGINES.register
class Tinker(EngineChoice):
    """On a Tinker-compatible service: Thinking Machines, SkyRL, Kos's own server."""

    offers: ClassVar[frozenset[Capability]] = EVERYTHING - {"temperature", "adapter"}

    kind: Literal["tinker"] = "tinker"
    base_url: str = Field("", description="Address of the service; empty: Thinking Machines'.")
    model: str = Field("moonshotai/Kimi-K2.5", description="What the service calls the base.")
    secret: str = Field("tinker", description="Name of the API key under Keys.")
    train_mlp: bool = Field(True, description="Adapters on the MLP and expert layers.")
    train_attn: bool = Field(True, description="Adapters on the attention layers.")
    train_unembed: bool = Field(
        False, description="An adapter on the output embedding; merging needs it untied."
    )
    losses: tuple[str, ...] = Field(
        ("cross_entropy", "importance_sampling", "ppo", "cispo"),
        description="Losses that the service computes itself, one a line; any other takes two "
        "passes over cross_entropy.",
    )
    keep_days: int = Field(14, ge=1, le=3650, description="Days the service keeps a checkpoint.")

    def open(
        self, job: Job, machine: Machine, *, lora: Lora, base: Path, adapter: Path | None = None
    ) -> Engine:
        """The public SDK; ``base`` is read for its tokenizer alone."""
        from kos.engine.tinker import Account, TinkerEngine

        account = Account(
            base_url=self.base_url.rstrip("/"),
            key=job.secret(self.secret),
            secret=self.secret,
            model=self.model,
            train_mlp=self.train_mlp,
            train_attn=self.train_attn,
            train_unembed=self.train_unembed,
            losses=self.losses,
            keep_days=self.keep_days,
        )
        return TinkerEngine.open(account, base, lora=lora, seed=job.seed, adapter=adapter)


class SamplerChoice(Choice):
    """Who draws the answers."""

    def wrap(self, engine: Engine, job: Job) -> Engine:
        """``engine`` with its answers drawn by this sampler.

        A job that samples says ``config.sampler.wrap(config.engine.open(...), job)`` and needs
        to know no more: the sampler follows the engine's weights by itself, and closing what
        comes back closes both.
        """
        raise NotImplementedError


SAMPLERS: Registry[SamplerChoice] = Registry("sampler")


@SAMPLERS.register
class InEngine(SamplerChoice):
    """The engine itself, from the weights it holds."""

    kind: Literal["engine"] = "engine"

    def wrap(self, engine: Engine, job: Job) -> Engine:
        """The engine as it is."""
        return engine


@SAMPLERS.register
class Vllm(SamplerChoice):
    """A vLLM server that follows the adapter, proven by a probe after every update."""

    kind: Literal["vllm"] = "vllm"
    url: str = Field("", description="Address of a running server; empty: Kos starts one.")
    secret: str = Field("", description="Name of its API key under Keys; empty: it asks for none.")
    max_context: int = Field(8192, ge=64, description="Prompt and answer of our own server.")
    precision: Literal["auto", "bfloat16", "float32"] = Field(
        "auto", description="Number format of our own server."
    )
    gpu_share: float = Field(
        0.45, gt=0, lt=1, description="Share of the GPU's memory that our own server takes."
    )
    tolerance: float = Field(
        0.1, gt=0, description="Nats a token by which it may differ from the trainer."
    )

    def wrap(self, engine: Engine, job: Job) -> Engine:
        """The engine, its answers from the server."""
        from kos.engine.vllm import SampledElsewhere, Server
        from kos.engine.vllm_server import Elsewhere, Own

        folder = job.folder / "sampler"
        folder.mkdir(parents=True, exist_ok=True)
        try:
            server: Server
            if self.url:
                key = job.secret(self.secret) if self.secret else ""
                server = Elsewhere(self.url.rstrip("/"), key)
                server.check()
            else:
                server = Own(
                    job.inputs["base"],
                    job.folder,
                    max_context=self.max_context,
                    precision=self.precision,
                    gpu_share=self.gpu_share,
                )
        except BaseException:
            engine.close()
            raise
        return SampledElsewhere(engine, server, folder, tolerance=self.tolerance)

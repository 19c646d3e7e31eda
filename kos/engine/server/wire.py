"""The wire's words: protobuf requests and answers, and the JSON that goes beside them.

The protobuf schema is the SDK's own, so the extra ``tinker`` must be installed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import AliasChoices, BaseModel, Field, StringConstraints
from torch import Tensor

from kos.engine.base import Datum, ForwardOutput, Sampled
from kos.errors import UserError
from kos.rl.losses.base import CrossEntropy, Loss
from kos.rl.losses.cispo import Cispo
from kos.rl.losses.mirror import Dro
from kos.rl.losses.ratio import ImportanceSampling, Ppo

try:
    import zstandard
    from google.protobuf.message import DecodeError
    from tinker.proto import tinker_public_pb2 as pb
except ImportError as error:  # pragma: no cover
    raise UserError(
        "the Tinker-compatible server needs the public SDK for its wire format; install it with "
        "pip install 'kos[tinker]' (tinker==0.38.0)"
    ) from error

# What the SDK puts into one request at most (its client config says so), with room to spare.
MAX_DATA = 1024
MAX_BODY_BYTES = 32 * 2**20

# A name that becomes a folder.
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}$")]
ModelId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,80}:train:[0-9]{1,9}$")]


class Gradients(NamedTuple):
    """What a forward pass, and a backward one, is asked for."""

    data: list[Datum]
    loss: Loss


class LoraConfig(BaseModel):
    """Which layers get an adapter, and of what rank."""

    rank: int = Field(32, ge=1, le=512)
    seed: int | None = None
    train_unembed: bool = True
    train_mlp: bool = True
    train_attn: bool = True


class Typed(BaseModel):
    """Something with a ``type``."""

    type: str = "adamw"


class CreateModel(BaseModel):
    """A new adapter on the base."""

    session_id: str
    model_seq_id: int = Field(ge=0, lt=10**9)
    base_model: str
    user_metadata: dict[str, Any] | None = None
    lora_config: LoraConfig | None = None
    optimizer_config: Typed = Typed()


class LoadWeights(BaseModel):
    """Weights into an existing model, or (with a session) into a new one."""

    model_id: ModelId | None = None
    seq_id: int | None = None
    session_id: str | None = None
    model_seq_id: int | None = Field(None, ge=0, lt=10**9)
    path: str
    optimizer: bool = False


class AdamParams(BaseModel):
    """One step of AdamW."""

    learning_rate: float = Field(1e-4, ge=0)
    beta1: float = Field(0.9, ge=0, lt=1)
    beta2: float = Field(0.95, ge=0, lt=1)
    eps: float = Field(1e-12, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    grad_clip_norm: float = 0.0


class OptimStep(BaseModel):
    """Apply the gathered gradients."""

    model_id: ModelId
    seq_id: int | None = None
    adam_params: AdamParams | None = Field(
        None, validation_alias=AliasChoices("adam_params", "optim_params")
    )
    optimizer_params: Typed | None = None


class SaveWeights(BaseModel):
    """Keep weights: with the optimiser, for a sampler, or for elsewhere."""

    model_id: ModelId
    seq_id: int | None = None
    path: Name | None = None
    overwrite: bool = False
    sampling_session_seq_id: int | None = Field(None, ge=0)


class OpenSampler(BaseModel):
    """A session that samples from saved weights or from the bare base."""

    session_id: str
    sampling_session_seq_id: int = Field(ge=0)
    base_model: str | None = None
    model_path: str | None = None


class TextChunk(BaseModel):
    """Tokens of a prompt; this server reads text only."""

    type: Literal["encoded_text"] = "encoded_text"
    tokens: list[Annotated[int, Field(ge=0)]]


class Prompt(BaseModel):
    """A prompt in pieces."""

    chunks: list[TextChunk]

    @property
    def tokens(self) -> list[int]:
        """All its tokens."""
        return [token for chunk in self.chunks for token in chunk.tokens]


class HowToSample(BaseModel):
    """``stop`` None ends at the model's own ends; a list replaces them."""

    max_tokens: int | None = Field(None, ge=1)
    seed: int | None = None
    stop: str | list[int] | list[str] | None = None
    temperature: float = Field(1.0, ge=0, le=10)
    top_k: int = -1
    top_p: float = Field(1.0, gt=0, le=1)


class Sample(BaseModel):
    """Draw answers, or read the prompt's log-probabilities."""

    num_samples: int = Field(1, ge=1, le=1024)
    prompt: Prompt
    sampling_params: HowToSample = HowToSample()
    base_model: str | None = None
    model_path: str | None = None
    sampling_session_id: str | None = None
    seq_id: int | None = None
    prompt_logprobs: bool | None = None
    prompt_logprobs_last_n: int | None = Field(None, ge=1)
    topk_prompt_logprobs: int = 0
    topk_sample_logprobs: int = 0
    target_prompt_logprobs: Any = None
    prompt_alt_tokens_k: int = 0

    def refuse_extras(self) -> None:
        """Raise UserError for what this server does not compute."""
        asked = [
            name
            for name in ("topk_prompt_logprobs", "topk_sample_logprobs", "prompt_alt_tokens_k")
            if getattr(self, name)
        ]
        asked += ["target_prompt_logprobs"] * (self.target_prompt_logprobs is not None)
        asked += ["top_k"] * (self.sampling_params.top_k > 0)
        if asked:
            raise UserError(f"this server does not offer {', '.join(asked)}; leave it out")


def inflate(body: bytes) -> bytes:
    """A zstd body; UserError when it is none or would grow beyond the limit."""
    try:
        with zstandard.ZstdDecompressor().stream_reader(body) as reader:
            plain: bytes = reader.read(MAX_BODY_BYTES + 1)
    except zstandard.ZstdError as error:
        raise UserError(f"the request's body is no zstd stream ({error})") from error
    if len(plain) > MAX_BODY_BYTES:
        raise UserError(f"the request is larger than {MAX_BODY_BYTES >> 20} MiB; send less")
    return plain


def open_gradients(body: bytes) -> Any:
    """The protobuf ``ForwardBackwardRequest``; UserError when it is none."""
    asked = pb.ForwardBackwardRequest()
    try:
        asked.ParseFromString(body)
    except DecodeError as error:
        raise UserError("the request's body is no ForwardBackwardRequest") from error
    return asked


def read_gradients(asked: Any) -> Gradients:
    """Data and loss of an opened request; UserError says what is wrong with it."""
    if not 1 <= len(asked.data) <= MAX_DATA:
        raise UserError(f"a request holds 1 to {MAX_DATA} data, this one {len(asked.data)}")
    config = {
        name: value.number
        for name, value in asked.loss_fn_config_v2.items()
        if value.WhichOneof("value") == "number"
    }
    loss = loss_called(asked.loss_fn, {**asked.loss_fn_config, **config})
    is_supervised = asked.loss_fn == "cross_entropy"
    data = [_datum(number, one, is_supervised) for number, one in enumerate(asked.data)]
    return Gradients(data, loss)


def loss_called(name: str, config: Mapping[str, float]) -> Loss:
    """The loss of Tinker's ``name``, with Tinker's defaults; UserError for one not offered."""
    match name:
        case "cross_entropy":
            return CrossEntropy()
        case "importance_sampling":
            return ImportanceSampling()
        case "ppo":
            return Ppo(
                clip_low=config.get("clip_low_threshold", 0.8),
                clip_high=config.get("clip_high_threshold", 1.2),
            )
        case "cispo":
            return Cispo(
                clip_low=config.get("clip_low_threshold", 0.0),
                clip_high=config.get("clip_high_threshold", 4.0),
            )
        case "dro":
            return _Dro(tau=config.get("beta", 0.05))
    raise UserError(
        f"this server has no loss {name!r}; it has cross_entropy, importance_sampling, ppo, cispo "
        "and dro, and forward_backward_custom works with any"
    )


class _Dro(Dro):
    """Its squared term on the policy's own tokens alone: every target is sent as one of them."""

    def __call__(
        self, logp_BT: Tensor, old_logp_BT: Tensor, advantage_BT: Tensor, mask_BT: Tensor
    ) -> Tensor:
        own_BT = mask_BT * ((advantage_BT != 0) | (old_logp_BT != 0))
        return super().__call__(logp_BT, old_logp_BT, advantage_BT, own_BT)


def _datum(number: int, sent: Any, is_supervised: bool) -> Datum:
    """Every target counts, so that the answer has a log-probability for each."""
    tokens = _tokens(number, sent.model_input)
    fields = {
        name: _numbers(number, name, tensor, len(tokens))
        for name, tensor in sent.loss_fn_inputs.items()
    }
    wanted = ("target_tokens", "weights") if is_supervised else ("target_tokens", "advantages")
    for name in wanted[:1] if is_supervised else (*wanted, "logprobs"):
        if name not in fields:
            raise UserError(f"datum {number} has no loss_fn_inputs[{name!r}]")
    zeros = (0.0,) * len(tokens)
    return Datum(
        tokens=tokens,
        targets=tuple(int(target) for target in fields["target_tokens"]),
        mask=(1,) * len(tokens),
        logprobs=tuple(fields.get("logprobs", zeros)),
        advantages=_weighted(fields, zeros),
    )


def _weighted(
    fields: Mapping[str, Sequence[float]], zeros: tuple[float, ...]
) -> tuple[float, ...]:
    """Advantages or weights; 0 where the datum's own mask is."""
    weights = fields.get("advantages", fields.get("weights", zeros))
    mask = fields.get("mask")
    if mask is None:
        return tuple(weights)
    return tuple(weight * counts for weight, counts in zip(weights, mask, strict=True))


def _tokens(number: int, chunks: Any) -> tuple[int, ...]:
    tokens: list[int] = []
    for chunk in chunks:
        if chunk.WhichOneof("chunk") != "encoded_text":
            raise UserError(f"datum {number} holds something that is no text; send text alone")
        tokens += np.frombuffer(chunk.encoded_text.tokens, dtype=np.int32).tolist()
    if not tokens:
        raise UserError(f"datum {number} is empty")
    return tuple(tokens)


def _numbers(number: int, name: str, tensor: Any, length: int) -> list[float]:
    kinds = {pb.DTYPE_FLOAT32: np.float32, pb.DTYPE_INT64: np.int64}
    if tensor.WhichOneof("encoding") != "dense" or tensor.dtype not in kinds:
        raise UserError(f"datum {number}: {name} must be a dense tensor of float32 or int64")
    values: list[float] = np.frombuffer(tensor.dense, dtype=kinds[tensor.dtype]).tolist()
    if len(values) != length:
        raise UserError(
            f"datum {number} has {length} tokens, but {name} has {len(values)} numbers"
        )
    if not np.isfinite(values).all():
        raise UserError(f"datum {number}: {name} holds numbers that are not finite")
    return values


def write_gradients(output: ForwardOutput, num_tokens: int) -> bytes:
    """The answer to ``read_gradients``: log-probabilities of every target, and the loss."""
    rows = [np.asarray(row, dtype=np.float32) for row in output.logprobs]
    offsets = np.cumsum([0, *(row.nbytes for row in rows)], dtype=np.int64)
    told = pb.ForwardBackwardOutput(loss_fn_output_type="ArrayRecord")
    record = told.loss_fn_outputs.add(type_tag="ArrayRecord", num_datums=len(rows))
    field = record.fields["logprobs"]
    field.data = b"".join(row.tobytes() for row in rows)
    field.offsets = offsets.tobytes()
    field.dtype = pb.DTYPE_FLOAT32
    told.metrics["loss:sum"] = output.loss
    told.metrics["num_tokens:sum"] = float(num_tokens)
    return bytes(told.SerializeToString())


def write_samples(answers: Sequence[Sampled], prompt_logprobs: Sequence[float] | None) -> bytes:
    """A ``SampleResponse``; the prompt's first token, which nothing predicts, is NaN."""
    told = pb.SampleResponse()
    for answer in answers:
        sequence = told.sequences.add()
        sequence.stop_reason = (
            pb.STOP_REASON_LENGTH if answer.stop_reason == "length" else pb.STOP_REASON_STOP
        )
        sequence.tokens = np.asarray(answer.tokens, dtype=np.int32).tobytes()
        sequence.logprobs = np.asarray(answer.logprobs, dtype=np.float32).tobytes()
    if prompt_logprobs is not None:
        told.prompt_logprobs = np.asarray(prompt_logprobs, dtype=np.float32).tobytes()
    return bytes(told.SerializeToString())

"""What an export does to the model's answers, beside the base and the ideal merged model.

The ideal is base + adapter in float32, never rounded. On held-out prompts with reference answers:

- NLL: mean negative log-likelihood of an answer's tokens, in nats;
- gain kept = (NLL of the quantised base - NLL of the export) / (NLL of the base - NLL of the
  ideal): how much of what was learned is still there, apart from what the format does to the
  base. Net gain takes the unrounded base instead, so it pays for that as well;
- KL(ideal || export), mean over the answers' tokens: how far the export is from what was trained;
- serve parity: where, along the ideal's greedy answer, the export would first say another token.

Intervals resample the prompts. Letters: T answer tokens, V vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kos.data.prompts import conversation
from kos.data.rubrics import RubricTask
from kos.engine.base import SamplingParams
from kos.engine.models import Chat
from kos.engine.sampling import Sampler
from kos.errors import UserError

DRAWS = 2000


class Prompt(NamedTuple):
    """A prompt and its reference answer as tokens."""

    id: str
    tokens: list[int]
    answer: list[int]


@dataclass
class Line:
    """One prompt: sums over its answer's tokens. ``*_own`` is the base in the export's format."""

    id: str
    num_tokens: int
    nll_base: float = 0.0
    nll_ideal: float = 0.0
    nll_own: float = 0.0
    nll_export: float = 0.0
    kl: float = 0.0
    kl_base: float = 0.0


class Parted(NamedTuple):
    """Where an export leaves the ideal's greedy answer of ``num_tokens``; None: nowhere."""

    id: str
    token: int | None
    num_tokens: int
    said: str = ""
    instead: str = ""


def prompts(
    chat: Chat, tasks: Iterable[RubricTask], *, system_prompt: str, max_tokens: int = 1024
) -> list[Prompt]:
    """The tasks with a reference that fit; raises UserError when there is none."""
    found = []
    for task in tasks:
        if not task.reference:
            continue
        tokens = chat.encode(conversation(task, system_prompt))
        answer = chat.encode_answer(task.reference)
        if len(tokens) + len(answer) <= max_tokens:
            found.append(Prompt(task.id, tokens, answer))
    if not found:
        raise UserError(
            f"no held-out prompt has a reference answer within {max_tokens} tokens: add "
            "references to the dataset's test or validation split"
        )
    return found


def log_probs(model: Any, prompt: Prompt) -> Tensor:
    """float32 (T, V): the log-probabilities before each token of the answer."""
    ids = torch.tensor([[*prompt.tokens, *prompt.answer]], device=model.device)
    count = len(prompt.answer)
    with torch.inference_mode():
        # The last token predicts nothing that is asked for.
        logits_TV = model(ids, logits_to_keep=count + 1, use_cache=False).logits[0, :-1]
        return torch.log_softmax(logits_TV.float(), dim=-1)


def begin(base: Any, ideal: Any, asked: Sequence[Prompt]) -> list[Line]:
    """What base and ideal make of every prompt."""
    lines = []
    for prompt in asked:
        base_TV, ideal_TV = log_probs(base, prompt), log_probs(ideal, prompt)
        line = Line(prompt.id, len(prompt.answer))
        line.nll_base, line.nll_ideal = _nll(base_TV, prompt), _nll(ideal_TV, prompt)
        line.kl_base = _kl(ideal_TV, base_TV)
        lines.append(line)
    return lines


def compare(
    lines: Sequence[Line],
    ideal: Any,
    export: Any,
    asked: Sequence[Prompt],
    *,
    on_prompt: Callable[[int], None] = lambda done: None,
) -> list[Line]:
    """``lines`` with what the export makes of the same prompts; ``nll_own`` is not touched."""
    found = []
    for done, (line, prompt) in enumerate(zip(lines, asked, strict=True), start=1):
        export_TV = log_probs(export, prompt)
        kl = _kl(log_probs(ideal, prompt), export_TV)
        told = asdict(line) | {"nll_export": _nll(export_TV, prompt), "kl": kl}
        found.append(Line(**told))
        on_prompt(done)
    return found


def with_own_base(lines: Sequence[Line], base: Any, asked: Sequence[Prompt]) -> list[Line]:
    """``lines`` with what the quantised base makes of the same prompts."""
    return [
        Line(**asdict(line) | {"nll_own": _nll(log_probs(base, prompt), prompt)})
        for line, prompt in zip(lines, asked, strict=True)
    ]


def summarise(lines: Sequence[Line], *, seed: int = 0) -> dict[str, Any]:
    """NLLs, gain kept, net gain and KL with 95 % intervals over the prompts.

    ``gain_kept`` is left out where the quantised base was not asked, or where the adapter gained
    nothing that could be kept.
    """
    tokens = [float(line.num_tokens) for line in lines]
    gain = [line.nll_base - line.nll_ideal for line in lines]
    shown: dict[str, Any] = {"num_prompts": len(lines), "num_tokens": int(sum(tokens))}
    names = ("nll_base", "nll_ideal", "nll_own", "nll_export", "kl", "kl_base")
    for name in names:
        shown[name] = _ratio([getattr(line, name) for line in lines], tokens, seed)
    shown["gain"] = _ratio(gain, tokens, seed)
    if sum(gain) > 0:
        net = [line.nll_base - line.nll_export for line in lines]
        shown["net_gain_kept"] = _ratio(net, gain, seed)
        if any(line.nll_own for line in lines):
            kept = [line.nll_own - line.nll_export for line in lines]
            shown["gain_kept"] = _ratio(kept, gain, seed)
    return shown


def greedy(model: Any, chat: Chat, asked: Sequence[Prompt], *, max_tokens: int) -> list[list[int]]:
    """The model's own answers, token by token the likeliest."""
    params = SamplingParams(max_tokens=max_tokens, temperature=0)
    sampler = Sampler(model, chat.end_ids)
    groups = sampler.sample([prompt.tokens for prompt in asked], [params] * len(asked))
    return [list(group[0].tokens) for group in groups]


def part(
    chat: Chat, export: Any, asked: Sequence[Prompt], answers: Sequence[Sequence[int]]
) -> list[Parted]:
    """Where the export first leaves the ideal's greedy ``answers``.

    Up to there both read the same, so one pass over the ideal's answer tells it.
    """
    found = []
    for prompt, answer in zip(asked, answers, strict=True):
        said = log_probs(export, Prompt(prompt.id, prompt.tokens, list(answer))).argmax(-1)
        other = (said != torch.tensor(answer, device=said.device)).nonzero()
        if not len(other):
            found.append(Parted(prompt.id, None, len(answer)))
            continue
        place = int(other[0])
        texts = (chat.tokenizer.decode([answer[place]]), chat.tokenizer.decode([int(said[place])]))
        found.append(Parted(prompt.id, place, len(answer), *texts))
    return found


def parity(parted: Sequence[Parted]) -> dict[str, Any]:
    """Share of answers that stay the same, and the token at which the others part, on median."""
    places = sorted(one.token for one in parted if one.token is not None)
    shown: dict[str, Any] = {
        "num_prompts": len(parted),
        "same": sum(one.token is None for one in parted),
        "answers": [one._asdict() for one in parted],
    }
    return shown | ({"median_token": places[len(places) // 2]} if places else {})


def _nll(logp_TV: Tensor, prompt: Prompt) -> float:
    answer_T = torch.tensor(prompt.answer, device=logp_TV.device)
    return -float(logp_TV.gather(1, answer_T[:, None]).double().sum())


def _kl(p_TV: Tensor, q_TV: Tensor) -> float:
    """Sum over the tokens of KL(p || q), in nats."""
    return float((p_TV.exp() * (p_TV - q_TV)).sum(-1).double().sum())


def _ratio(above: Sequence[float], below: Sequence[float], seed: int) -> dict[str, float]:
    """sum(above) / sum(below) with a 95 % percentile interval over resampled prompts."""
    rng = random.Random(seed)  # noqa: S311 - statistics, not secrets
    places = range(len(above))
    drawn = []
    for _ in range(DRAWS):
        chosen = rng.choices(places, k=len(above))
        total = sum(below[i] for i in chosen)
        if total > 0:
            drawn.append(sum(above[i] for i in chosen) / total)
    drawn.sort()
    mean = sum(above) / sum(below)
    low, high = (drawn[int(share * (len(drawn) - 1))] for share in (0.025, 0.975))
    return {"mean": mean, "low": low, "high": high}

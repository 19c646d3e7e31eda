"""Which format to take, in words, from what was measured of several on one model. No torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kos.weights.survival.gate import gate

Line = Mapping[str, Any]
# What tells formats of four bits from larger ones: bits a weight, scales included.
SMALL = 6.0
# Divergences closer than this share of each other are taken as equal.
ALIKE = 0.1
ONLINE = "online_lora"


class Advice(NamedTuple):
    """The kind of format to take (``online_lora`` for the adapter kept beside its base)."""

    kind: str
    label: str
    sentences: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """For a report."""
        return {"kind": self.kind, "label": self.label, "sentences": [*self.sentences]}


def recommend(lines: Sequence[Line], *, is_int4: bool) -> Advice:
    """The small format that passes the gate and diverges least from what was trained.

    ``lines`` are a report's formats; ``is_int4`` says whether the base itself is packed INT4.
    Without behaviour the least weight error of those that pass decides, and is called a guess.
    """
    online = [line for line in lines if line.get("is_online")]
    small = [line for line in lines if line["bits"] <= SMALL and line not in online]
    passing = [line for line in small if gate(line).passed and _is_measured(line)]
    refused = [line for line in small if not gate(line).passed]
    if not passing:
        return _online(refused, online, is_int4=is_int4)
    asked = [line for line in passing if _kl(line) is not None]
    chosen = _closest(asked) if asked else min(passing, key=lambda line: line["all"]["error"])
    sentences = [_why(chosen) if asked else _guess(chosen)]
    sentences += _beside(chosen, asked)
    sentences += [_no(line) for line in refused]
    sentences += _where(chosen) + _instead(chosen, online)
    return Advice(chosen["kind"], chosen["label"], tuple(sentences))


def _is_measured(line: Line) -> bool:
    return bool(line.get("behaviour")) or "slope" in line.get("all", {})


def _kl(line: Line) -> float | None:
    found = (line.get("behaviour") or {}).get("kl")
    return None if found is None else float(found["mean"])


def _closest(lines: Sequence[Line]) -> Line:
    """The least divergence; of those alike, the one that keeps more of the gain."""
    least = min(_kl(line) or 0.0 for line in lines)
    alike = [line for line in lines if (_kl(line) or 0.0) <= least * (1 + ALIKE)]
    return max(alike, key=_gain)


def _gain(line: Line) -> float:
    behaviour = line.get("behaviour") or {}
    found = behaviour.get("gain_kept") or behaviour.get("net_gain_kept") or {"mean": 0.0}
    return float(found["mean"])


def _why(line: Line) -> str:
    kl = line["behaviour"]["kl"]
    return (
        f"Take {_name(line)}: it keeps {100 * _gain(line):.0f} % of the adapter's gain, and of "
        f"all small formats that pass the gate its answers are closest to the merged model's, at "
        f"{kl['mean']:.4f} nats a token ({kl['low']:.4f} to {kl['high']:.4f})."
    )


def _guess(line: Line) -> str:
    return (
        f"Take {_name(line)}, for now: of the formats that keep the change its weights err least "
        f"({100 * line['all']['error']:.1f} %). Weights alone can mislead: compare the answers "
        "on a dataset with references before it is served."
    )


def _beside(chosen: Line, lines: Sequence[Line]) -> list[str]:
    """How far NVFP4, the usual choice, is from it."""
    usual = next((line for line in lines if line["kind"] == "nvfp4"), None)
    mine = _kl(chosen)
    if usual is None or usual is chosen or not mine:
        return []
    times = (_kl(usual) or 0.0) / mine
    return [
        f"NVFP4 as ModelOpt writes it keeps {100 * _gain(usual):.0f} % and diverges "
        f"{times:.1f} times as far, because it rounds the base as well."
    ]


def _no(line: Line) -> str:
    failed = " ".join(sentence for sentence in gate(line).sentences if "under" in sentence)
    return f"Not {_name(line)}. {failed}"


def _where(line: Line) -> list[str]:
    if "nvfp4" in line["kind"] or "mxfp4" in line["kind"]:
        return ["Its speed needs a Blackwell GPU; older ones unpack the weights as they go."]
    if line["kind"].startswith("int4"):
        return ["It is as large as the INT4 base and runs on the same kernels, on Hopper too."]
    return []


def _instead(chosen: Line, online: Sequence[Line]) -> list[str]:
    """What the adapter beside its base would be worth, where that was measured."""
    asked = [line for line in online if _kl(line) is not None]
    if not asked or _kl(chosen) is None:
        return []
    best = _closest(asked)
    return [
        f"{_name(best)} would diverge by {_kl(best):.4f} nats a token, at fewer tokens a second."
    ]


def _online(refused: Sequence[Line], online: Sequence[Line], *, is_int4: bool) -> Advice:
    base = "INT4 base" if is_int4 else "NVFP4 base"
    sentences = [
        f"Keep the adapter beside the {base} and let the server add it to each answer (online "
        "LoRA): nothing of it is rounded. Expect fewer tokens a second than from a merged model.",
        *(_no(line) for line in refused),
    ]
    measured = [_measured(line) for line in online if _kl(line) is not None]
    sentences[1:1] = measured
    if not refused:
        sentences.append("No small format was measured yet.")
    return Advice(ONLINE, f"{base} with online LoRA", tuple(sentences))


def _measured(line: Line) -> str:
    return (
        f"{_name(line)} keeps {100 * _gain(line):.0f} % of the gain and diverges by "
        f"{_kl(line):.4f} nats a token."
    )


def _name(line: Line) -> str:
    return re.split(r":| \(", str(line["label"]))[0]

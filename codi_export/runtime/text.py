"""Prompts to embeddings, by the text encoder and tokenizer of a bundle. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codi_export import registry
from codi_export.backends import Runner
from codi_export.errors import CodiError, ErrorCode

INPUTS = ("input_ids", "input_ids_2")  # what the encoders read, for each tokenizer


@dataclass(frozen=True, slots=True)
class TextEncoder:
    """Call it with a prompt. `tokenizers`: one, or an SDXL's two."""

    tokenizers: tuple[Any, ...] = field(repr=False)
    runner: Runner = field(repr=False)

    def __call__(self, prompt: str) -> dict[str, NDArray[np.float32]]:
        """prompt_embeds [1, T, D], of an SDXL pooled_prompt_embeds [1, P] too. Raises CodiError (bad-option) for a
        prompt that is too long to be read whole."""
        encodings = [tokenizer.encode(prompt) for tokenizer in self.tokenizers]
        if any(encoding.overflowing for encoding in encodings):
            raise CodiError(
                ErrorCode.BAD_OPTION,
                f"the prompt is longer than the {len(encodings[0].ids)} tokens that the text encoder reads",
                "shorten it: its end would be lost",
            )
        pairs = zip(INPUTS, encodings, strict=False)
        return self.runner({name: np.array([encoding.ids], np.int64) for name, encoding in pairs})

    def unknown(self, prompt: str) -> list[str]:
        """The words of a prompt that the tokenizer does not know and reads as one and the same."""
        tokenizer, *_ = self.tokenizers  # an SDXL's know the same words
        unknown = getattr(tokenizer.model, "unk_token", None)
        unknown = tokenizer.token_to_id(str(unknown)) if unknown else None
        encoding = tokenizer.encode(prompt)
        pairs = zip(encoding.ids, encoding.offsets, encoding.special_tokens_mask, strict=True)
        return [prompt[start:end] for token, (start, end), special in pairs if token == unknown and not special]


def load(graph: Path, tokenizers: Sequence[Path], provider: str, backend: str, threads: int | None) -> TextEncoder:
    """Open the files. Raises CodiError (missing-package, bad-bundle)."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise CodiError(
            ErrorCode.MISSING_PACKAGE,
            "reading a prompt needs the package tokenizers",
            "pip install 'codi-export[text]', or pass prompt_embeds",
        ) from error
    readers = []
    for path in tokenizers:
        try:
            readers.append(Tokenizer.from_file(str(path)))
        except Exception as error:  # the package raises nothing narrower
            raise CodiError(
                ErrorCode.BAD_BUNDLE, f"{path} is no tokenizer: {error}", "build the bundle again"
            ) from error
    return TextEncoder(tuple(readers), registry.get("backends", backend).open(graph, provider, threads))

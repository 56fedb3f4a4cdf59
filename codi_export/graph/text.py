"""What reads prompts, of a bundle that does: `graphs/text.onnx` and, at the bundle's root, `tokenizer.json`; of an SDXL
`tokenizer_2.json` too, as its tokenizers differ in how they pad, and so in how they read the character that pads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from codi_export.errors import CodiError, ErrorCode
from codi_export.graph import passes, store
from codi_export.graph.cache import Cache
from codi_export.graph.export import trace
from codi_export.model.text import OUTPUTS, Encoders, Text

GRAPH = "graphs/text.onnx"
TOKENIZERS = ("tokenizer.json", "tokenizer_2.json")
INPUTS = ("input_ids", "input_ids_2")


def export_text(texts: Sequence[Text], folder: Path) -> None:
    """Write the files to the bundle `folder`; raises CodiError (bad-model) for a tokenizer without a fast form."""
    ids = {name: text.tokens(["a photo"]) for name, text in zip(INPUTS, texts, strict=False)}
    model = trace("text", Encoders(texts), ids, OUTPUTS[: len(texts)], Cache(None))
    passes.run(model, (*passes.precision("fp32"), *passes.DEFAULT_PASSES))
    store.save(model, folder / GRAPH)
    for name, text in zip(TOKENIZERS, texts, strict=False):
        _fast(text).save(str(folder / name))


def _fast(text: Text) -> Any:
    """The tokenizer as the package `tokenizers` has it, which pads and cuts to the encoder's length."""
    tokenizer = getattr(text.tokenizer, "backend_tokenizer", None)
    if tokenizer is None:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{type(text.tokenizer).__name__} has no fast form, so it cannot be written as {TOKENIZERS[0]}",
            "save the folder's tokenizer with a current transformers",
        )
    length, pad = text.encoder.config.max_position_embeddings, text.tokenizer.pad_token
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=text.tokenizer.pad_token_id, pad_token=pad)
    return tokenizer

"""The text encoder of a bundle that reads prompts: `graphs/text.onnx` and, at the bundle's root, `tokenizer.json`."""

from pathlib import Path

from codi_export.errors import CodiError, ErrorCode
from codi_export.graph import passes, store
from codi_export.graph.cache import Cache
from codi_export.graph.export import trace
from codi_export.model.text import Text, Words

GRAPH = "graphs/text.onnx"
TOKENIZER = "tokenizer.json"


def export_text(text: Text, folder: Path) -> None:
    """Write both files to the bundle `folder`; raises CodiError (bad-model) for a tokenizer without a fast form."""
    model = trace("text", Words(text.encoder), {"input_ids": text.tokens(["a photo"])}, ("prompt_embeds",), Cache(None))
    passes.run(model, (*passes.precision("fp32"), *passes.DEFAULT_PASSES))
    store.save(model, folder / GRAPH)
    tokenizer = getattr(text.tokenizer, "backend_tokenizer", None)
    if tokenizer is None:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{type(text.tokenizer).__name__} has no fast form, so it cannot be written as {TOKENIZER}",
            "save the folder's tokenizer with a current transformers",
        )
    length, pad = text.encoder.config.max_position_embeddings, text.tokenizer.pad_token
    tokenizer.enable_truncation(length)
    tokenizer.enable_padding(length=length, pad_id=text.tokenizer.pad_token_id, pad_token=pad)
    tokenizer.save(str(folder / TOKENIZER))

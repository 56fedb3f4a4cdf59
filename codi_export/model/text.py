"""Prompts -> embeddings, by a folder's own tokenizers and text encoders: one (SD) or two (SDXL)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextModel, CLIPTextModelWithProjection

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import scaled
from codi_export.model import lora
from codi_export.model.parts import load_part, read_config

CLASSES = {"CLIPTextModel": CLIPTextModel, "CLIPTextModelWithProjection": CLIPTextModelWithProjection}
SECOND = "_2"  # what SDXL puts behind the names of its second tokenizer and encoder


class Embedded(NamedTuple):
    """Prompts as the U-Net reads them: words [n, T, D], and each prompt as a whole [n, P] where a second encoder says
    it."""

    words: Tensor
    pooled: Tensor | None = None


class Words(nn.Module):
    """A text encoder to be traced: input_ids [1, T] -> the embeddings of its last layer [1, T, D]."""

    def __init__(self, text: nn.Module) -> None:
        super().__init__()
        self.text = text

    def forward(self, input_ids: Tensor) -> Tensor:
        words: Tensor = self.text(input_ids).last_hidden_state
        return words


@dataclass(frozen=True, slots=True)
class Text:
    """A tokenizer and its text encoder."""

    tokenizer: Any
    encoder: Any

    def tokens(self, prompts: Sequence[str]) -> Tensor:
        """Prompts -> [B, T], padded and cut to the encoder's length."""
        length = self.encoder.config.max_position_embeddings
        cut = {"padding": "max_length", "max_length": length, "truncation": True}
        ids: Tensor = self.tokenizer(list(prompts), return_tensors="pt", **cut).input_ids
        return ids

    @torch.no_grad()
    def embed(self, tokens: Tensor) -> Tensor:
        """[B, T] -> [B, T, D], of the last layer."""
        embedding: Tensor = self.encoder.to(tokens.device)(tokens).last_hidden_state
        return embedding


def load_text(folder: Path, loras: Sequence[str] = (), which: str = "") -> Text:
    """The text parts of a diffusers folder, with what the files `loras` change; raises CodiError (bad-model)."""
    if not (folder / f"tokenizer{which}").is_dir():
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} has no tokenizer{which}/", "expected a diffusers folder")
    tokenizer = AutoTokenizer.from_pretrained(folder / f"tokenizer{which}", local_files_only=True)
    part = f"text_encoder{which}"
    encoder = load_part(_class(folder / part), folder / part)
    for file, scale in map(scaled, loras):
        lora.merge(encoder, file, scale, part)
    return Text(tokenizer, encoder)


def has_second(folder: Path) -> bool:
    """Whether two encoders read the prompt, as in SDXL."""
    return (folder / f"text_encoder{SECOND}").is_dir()


@torch.no_grad()
def embed(folder: Path, prompts: list[str], loras: Sequence[str] = ()) -> Embedded:
    """Prompts in the folder's own way: one encoder's last layer; of two, the last but one of each side by side, and
    what the second says of the whole (arXiv 2307.01952, section 2.1)."""
    if not has_second(folder):
        text = load_text(folder, loras)
        return Embedded(text.embed(text.tokens(prompts)))
    said = []
    for which in ("", SECOND):
        text = load_text(folder, loras, which)
        said.append(text.encoder(text.tokens(prompts), output_hidden_states=True))
    words = torch.cat([one.hidden_states[-2] for one in said], dim=-1)
    pooled = getattr(said[-1], "text_embeds", None)
    if pooled is None:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder / f'text_encoder{SECOND}'} gives no embedding of the whole prompt",
            "expected a CLIPTextModelWithProjection, as SDXL has",
        )
    return Embedded(words, pooled)


def zero_if_empty(folder: Path) -> bool:
    """Whether an empty negative prompt stands for zeros, as SDXL pipelines have it unless their folder says no."""
    try:
        index = json.loads((folder / "model_index.json").read_text())
    except (OSError, ValueError):
        index = {}
    return has_second(folder) and bool(index.get("force_zeros_for_empty_prompt", True))


def _class(folder: Path) -> Any:
    names = read_config(folder).get("architectures") or ["CLIPTextModel"]
    known = [CLASSES[name] for name in names if name in CLASSES]
    if not known:
        raise CodiError(ErrorCode.BAD_MODEL, f"{folder} is a {names[0]}; expected one of {', '.join(CLASSES)}")
    return known[0]

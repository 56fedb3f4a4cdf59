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
OUTPUTS = ("prompt_embeds", "pooled_prompt_embeds")  # what encoders give, by diffusers' names


class Embedded(NamedTuple):
    """Prompts as the U-Net reads them: words [n, T, D], and each prompt as a whole [n, P] where a second encoder says
    it."""

    words: Tensor
    pooled: Tensor | None = None

    def one(self, index: int) -> "Embedded":
        """One of them, n = 1."""
        return Embedded(*(tensor[index : index + 1] for tensor in self if tensor is not None))

    def zeros(self) -> "Embedded":
        """What stands for no prompt, n = 1."""
        return Embedded(*(torch.zeros_like(tensor[:1]) for tensor in self if tensor is not None))

    def batch(self, size: int) -> dict[str, Tensor]:
        """The first for `size` pictures, by the names that graphs have for it."""
        named = zip(OUTPUTS, self, strict=True)
        return {name: tensor[:1].expand(size, *tensor.shape[1:]) for name, tensor in named if tensor is not None}


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


def load_texts(folder: Path, loras: Sequence[str] = ()) -> tuple[Text, ...]:
    """One, or SDXL's two. Raises CodiError (bad-model) as `load_text`, and for two that do not belong together."""
    if not has_second(folder):
        return (load_text(folder, loras),)
    first, second = load_text(folder, loras), load_text(folder, loras, SECOND)
    if not isinstance(second.encoder, CLIPTextModelWithProjection):
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder / f'text_encoder{SECOND}'} gives no embedding of the whole prompt",
            "expected a CLIPTextModelWithProjection, as SDXL has",
        )
    lengths = [text.encoder.config.max_position_embeddings for text in (first, second)]
    if lengths[0] != lengths[1]:  # what they say is put side by side, word by word
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"{folder}: text_encoder reads {lengths[0]} tokens, text_encoder{SECOND} {lengths[1]}",
            "expected the same max_position_embeddings in both, 77 in SDXL",
        )
    return first, second


class Encoders(nn.Module):
    """One encoder's last layer; of two, the last but one of each side by side, and what the second says of the whole
    (arXiv 2307.01952, section 2.1)."""

    def __init__(self, texts: Sequence[Text]) -> None:
        super().__init__()
        self.text = nn.ModuleList(text.encoder for text in texts)

    def forward(self, *tokens: Tensor) -> tuple[Tensor, ...]:
        """[B, T], for each encoder by its own tokenizer -> words [B, T, D], and of two encoders pooled [B, P]."""
        said = [encode(ids, output_hidden_states=True) for encode, ids in zip(self.text, tokens, strict=True)]
        if len(said) == 1:
            return (said[0].last_hidden_state,)
        return torch.cat([one.hidden_states[-2] for one in said], dim=-1), said[-1].text_embeds


@torch.no_grad()
def embed(folder: Path, prompts: list[str], loras: Sequence[str] = ()) -> Embedded:
    """Prompts in the folder's own way."""
    texts = load_texts(folder, loras)
    return Embedded(*Encoders(texts)(*(text.tokens(prompts) for text in texts)))


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

"""A tokenizer and a CLIP-shaped text encoder, both made from the captions at hand."""

import functools
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

REMEMBERED = 8192  # texts: more than `mini`'s captions and instructions, and at its width 200 MB


def remembering(embed: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """A frozen encoder's `embed`, tokens [B, T] -> [B, T, D], that reads a text once, however often it comes.

    Each is read alone: in a batch its last bits would depend on its neighbours, and a resumed run, which remembers
    nothing, would differ from an unbroken one.
    """

    @functools.lru_cache(maxsize=REMEMBERED)
    def read(device: torch.device, *tokens: int) -> torch.Tensor:
        return embed(torch.tensor([tokens], device=device))[0]

    return lambda tokens: torch.stack([read(tokens.device, *row) for row in tokens.tolist()])


@dataclass(frozen=True, slots=True)
class TextConfig:
    """Vocabulary in words, length in tokens, width and depth of the encoder."""

    vocabulary: int = 1500
    length: int = 32
    width: int = 192
    layers: int = 4
    heads: int = 4


def new_tokenizer(captions: Iterable[str], config: TextConfig) -> PreTrainedTokenizerFast:
    """A lower-case word-level tokenizer of the commonest words; others read as <unk>."""
    special = ["<pad>", "<start>", "<end>", "<unk>"]
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(
        captions, trainers.WordLevelTrainer(vocab_size=config.vocabulary, special_tokens=special, show_progress=False)
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<start> $A <end>",
        special_tokens=[(token, tokenizer.token_to_id(token)) for token in ("<start>", "<end>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=config.length,
        pad_token="<pad>",
        bos_token="<start>",
        eos_token="<end>",
        unk_token="<unk>",
    )


def new_encoder(tokenizer: PreTrainedTokenizerFast, config: TextConfig) -> CLIPTextModel:
    """An untrained CLIP text encoder for that tokenizer."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.width,
            intermediate_size=4 * config.width,
            projection_dim=config.width,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            max_position_embeddings=config.length,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    )


def add_words(folder: Path, sentences: Iterable[str], seed: int = 0) -> list[str]:
    """Teach a backbone folder's word-level tokenizer the words of `sentences` that it reads as <unk>; returns them.

    Their rows in the text encoder are drawn like untrained ones, at the size of the trained ones, and stay so: whatever
    the backbone knew before gives the same embedding as before, bit for bit. An adapter learns what the new words mean.
    """
    file = folder / "tokenizer" / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(file))
    words = {word for text in sentences for word, _ in _split(tokenizer, text)}
    vocabulary = tokenizer.get_vocab()
    new = sorted(words - vocabulary.keys())
    if not new:
        return []
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder", local_files_only=True)
    old = encoder.get_input_embeddings().weight.detach()
    rows = torch.randn(len(new), old.shape[1], generator=torch.Generator().manual_seed(seed)) * old.float().std()
    encoder.resize_token_embeddings(len(old) + len(new), mean_resizing=False)
    encoder.get_input_embeddings().weight.data[len(old) :] = rows
    encoder.half().save_pretrained(folder / "text_encoder")

    content = json.loads(file.read_text())
    content["model"]["vocab"] |= {word: len(old) + index for index, word in enumerate(new)}
    file.write_text(json.dumps(content, indent=2, ensure_ascii=False))
    return new


def _split(tokenizer: Tokenizer, text: str) -> list[tuple[str, tuple[int, int]]]:
    pieces: list[tuple[str, tuple[int, int]]] = tokenizer.pre_tokenizer.pre_tokenize_str(
        tokenizer.normalizer.normalize_str(text)
    )
    return pieces

from pathlib import Path

import torch

from codi_export.model.text import embed
from distill import text
from tests import tiny

CAPTIONS = ["a red cube on grass", "a blue cube on sand", "A red ball, on sand"]
CONFIG = text.TextConfig(vocabulary=20, length=8, width=16, layers=1, heads=2)


def test_the_tokenizer_knows_its_words_and_marks_the_rest() -> None:
    tokenizer = text.new_tokenizer(CAPTIONS, CONFIG)
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("a RED zebra")["input_ids"])
    assert tokens == ["<start>", "a", "red", "<unk>", "<end>"]


def test_the_encoder_reads_what_the_tokenizer_writes() -> None:
    tokenizer = text.new_tokenizer(CAPTIONS, CONFIG)
    encoder = text.new_encoder(tokenizer, CONFIG)
    ids = tokenizer(CAPTIONS, padding="max_length", truncation=True, return_tensors="pt").input_ids
    assert encoder(ids).last_hidden_state.shape == (3, 8, 16)


def test_new_words_change_nothing_that_was_known(tmp_path: Path) -> None:
    folder = tiny.backbone(tmp_path)
    tokenizer = text.new_tokenizer(CAPTIONS, CONFIG)
    tokenizer.save_pretrained(folder / "tokenizer")
    torch.manual_seed(0)
    text.new_encoder(tokenizer, CONFIG).half().save_pretrained(folder / "text_encoder")
    before = embed(folder, ["a red cube", "paint the cube red"]).words

    assert text.add_words(folder, ["Paint the cube red", "remove it"]) == ["it", "paint", "remove", "the"]
    after = embed(folder, ["a red cube", "paint the cube red", "remove it"]).words
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[1], after[1])
    assert text.add_words(folder, ["remove it"]) == []


def test_a_text_is_read_once_and_its_bits_do_not_depend_on_its_neighbours() -> None:
    read: list[list[int]] = []

    def embed(tokens: torch.Tensor) -> torch.Tensor:
        read.append(tokens[0].tolist())
        return tokens[..., None].float() * torch.ones(3)

    remembered = text.remembering(embed)
    found = remembered(torch.tensor([[1, 2], [3, 4], [1, 2]]))
    assert read == [[1, 2], [3, 4]] and found.shape == (3, 2, 3)
    assert torch.equal(found, remembered(torch.tensor([[1, 2], [3, 4], [1, 2]]))) and len(read) == 2

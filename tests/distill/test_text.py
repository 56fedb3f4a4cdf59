from distill import text

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

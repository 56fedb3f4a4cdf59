import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from codi_export.errors import CodiError, ErrorCode
from distill import board

PACKAGE = "torch.utils.tensorboard"


class Writer:
    """Stands in for TensorBoard's own."""

    seen: list[tuple[object, ...]]

    def __init__(self, folder: Path) -> None:
        Writer.seen = [("folder", folder)]

    def add_scalar(self, *row: object) -> None:
        self.seen.append(("scalar", *row))

    def add_text(self, *row: object) -> None:
        self.seen.append(("text", *row))

    def flush(self) -> None:
        self.seen.append(("flush",))


def test_numbers_are_scalars_and_words_are_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, SimpleNamespace(SummaryWriter=Writer))  # type: ignore[arg-type]
    show = board.make(tmp_path, True)
    show(7, {"loss": 0.5, "warning": "too red"})
    rows = [("scalar", "loss", 0.5, 7), ("text", "warning", "too red", 7), ("flush",)]
    assert Writer.seen == [("folder", tmp_path), *rows]


def test_absent_it_is_named_when_it_is_wanted_and_not_missed_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)  # type: ignore[arg-type]
    board.make(tmp_path, False)(7, {"loss": 0.5})
    with pytest.raises(CodiError, match=r"tensorboard is true.*not installed") as caught:
        board.make(tmp_path, True)
    assert caught.value.code == ErrorCode.MISSING_PACKAGE

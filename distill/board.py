"""TensorBoard beside the log, for those who watch their runs there."""

import importlib
from collections.abc import Callable
from pathlib import Path

from codi_export.errors import CodiError, ErrorCode

from .history import Row


def make(folder: Path, wanted: bool) -> Callable[[int, Row], None]:
    """A function that shows a row of the log in TensorBoard, numbers as scalars and words as text; unless `wanted`, one
    that does nothing. Raises CodiError (missing-package)."""
    if not wanted:
        return lambda step, row: None
    try:
        writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter(folder)
    except ImportError as error:
        raise CodiError(
            ErrorCode.MISSING_PACKAGE,
            "[train] tensorboard is true, and the package tensorboard is not installed",
            "pip install -c constraints.txt 'codi-export[tensorboard]', or leave the setting out",
        ) from error

    def show(step: int, row: Row) -> None:
        for name, value in row.items():
            (writer.add_text if isinstance(value, str) else writer.add_scalar)(name, value, step)
        writer.flush()

    return show

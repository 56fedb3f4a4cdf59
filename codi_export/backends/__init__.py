"""One `Backend` a file: a runtime that opens a graph. An absent runtime costs nothing until its backend is used."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.generic]]
Runner = Callable[[Arrays], dict[str, NDArray[Any]]]  # inputs by name -> outputs by name


@dataclass(frozen=True, slots=True)
class Backend:
    """`open(path, provider, threads)` loads a graph; `providers()` lists what runs one here. Both raise CodiError."""

    name: str
    providers: Callable[[], tuple[str, ...]]
    open: Callable[[Path, str, int | None], Runner]

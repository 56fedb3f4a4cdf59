"""Each op's library is compiled once a session."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kernels.harness import Kernels, compile_op


@pytest.fixture(scope="session")
def kernels_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Kernels]:
    made: dict[str, Kernels] = {}
    folder: Path = tmp_path_factory.mktemp("kernels")

    def build(op: str) -> Kernels:
        if op not in made:
            made[op] = Kernels(compile_op(op, folder / f"{op}.so"))
        return made[op]

    return build

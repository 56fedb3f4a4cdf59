"""`python -m tests.kernels.prove OP LIBRARY`: all that the tests can say of a library, in a process that may crash."""

import importlib
import os
import sys

import numpy as np

from tests.kernels.harness import Kernels


def main() -> None:
    op, path = sys.argv[1:]
    prove = importlib.import_module(f"tests.kernels.test_{op}").prove
    prove(Kernels(path), np.random.default_rng(int(os.environ.get("CODI_SEED", "0"))))


if __name__ == "__main__":
    main()

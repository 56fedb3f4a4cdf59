"""A graph run in a process of its own, whose memory ends with it: `python -m codi_export.apart`."""

import logging
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from codi_export import registry
from codi_export.backends import Backend
from codi_export.errors import CodiError, ErrorCode

LOG = logging.getLogger(__name__)
LARGE = 1 << 30  # bytes of weights from which on they stay mapped: unpacked, they would not fit beside a build


def run(path: Path, inputs: Sequence[dict[str, NDArray[Any]]]) -> list[dict[str, NDArray[Any]]]:
    """The outputs of the ONNX file `path` for each of `inputs`, in ONNX Runtime on the CPU. Raises CodiError (backend).

    With weights above LARGE its memory is shared (`Backend.open_shared`). The process's own peak is logged.
    """
    with tempfile.TemporaryDirectory() as folder:
        for index, arrays in enumerate(inputs):
            contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
            save_file(contiguous, Path(folder, f"{index}.in"))
        command = [sys.executable, "-m", "codi_export.apart", str(path), folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().rpartition("\n")[2] or f"ended with status {done.returncode}"
            raise CodiError(ErrorCode.BACKEND, f"{path} cannot be run: {said}", "codi-export doctor says what is here")
        LOG.info("%s: at most %d bytes resident", path.name, int(done.stdout))
        return [load_file(Path(folder, f"{index}.out")) for index in range(len(inputs))]


def main(path: Path, folder: Path) -> None:
    """The child: every `N.in` of `folder` becomes `N.out`."""
    backend: Backend = registry.get("backends", "onnxruntime")
    large = sum(file.stat().st_size for file in path.parent.glob("*.safetensors")) > LARGE
    opener = backend.open_shared if large and backend.open_shared else backend.open
    runner = opener(path, "cpu", None)
    for file in sorted(folder.glob("*.in")):
        save_file(runner(load_file(file)), file.with_suffix(".out"))
    status = Path("/proc/self/status").read_text().splitlines()
    print(1024 * int(next(line for line in status if line.startswith("VmHWM")).split()[1]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Graphs run in a process of its own, whose memory ends with it: `python -m codi_export.apart`."""

import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from codi_export import machine, parity, registry
from codi_export.backends import Backend, onnxruntime
from codi_export.errors import CodiError, ErrorCode

LOG = logging.getLogger(__name__)
ROUNDS = 9
LARGE = 1 << 30  # bytes of weights from which on they stay mapped: unpacked, they would not fit beside a build


def run(path: Path, inputs: Sequence[dict[str, NDArray[Any]]]) -> list[dict[str, NDArray[Any]]]:
    """The outputs of the ONNX file `path` for each of `inputs`, in ONNX Runtime on the CPU. Raises CodiError (backend).

    With weights above LARGE its memory is shared (`Backend.open_shared`). The process's own peak is logged.
    """
    with tempfile.TemporaryDirectory() as folder:
        for index, arrays in enumerate(inputs):
            contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
            save_file(contiguous, Path(folder, f"{index}.in"))
        LOG.info("%s: at most %d bytes resident", path.name, int(_child("run", str(path), folder)))
        return [load_file(Path(folder, f"{index}.out")) for index in range(len(inputs))]


def race(paths: tuple[Path, Path], inputs: dict[str, NDArray[Any]], backend: str) -> tuple[float, float]:
    """CPU time of a call of the second graph over that of the first, on one thread of `backend`, the median of ROUNDS
    pairs; and how far its 8-bit picture is from the first's there, in dB. Raises CodiError (backend), also where the
    backend cannot run."""
    with tempfile.TemporaryDirectory() as folder:
        save_file({name: np.asarray(array, order="C") for name, array in inputs.items()}, Path(folder, "0.in"))
        ratio, difference = _child("race", *map(str, paths), folder, backend).split()
        return float(ratio), float(difference)


def _child(*arguments: str) -> str:
    """What the process says. Raises CodiError (backend)."""
    command = [sys.executable, "-m", "codi_export.apart", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2] or f"ended with status {done.returncode}"
        raise CodiError(
            ErrorCode.BACKEND, f"{arguments[1]} cannot be run: {said}", "codi-export doctor says what is here"
        )
    return done.stdout


def _race(first: Path, second: Path, folder: Path, name: str) -> None:
    """The child: calls in turns, after one of each."""
    backend: Backend = registry.get("backends", name)
    inputs = load_file(folder / "0.in")
    runners = [backend.open(path, "cpu", 1) for path in (first, second)]
    times: list[list[float]] = [[], []]
    pictures = [runner(inputs)["output"].astype(np.float32) for runner in runners]
    difference = parity.psnr(*(picture / 127.5 - 1 for picture in pictures))
    for _ in range(ROUNDS):
        for runner, taken in zip(runners, times, strict=True):
            start = time.process_time()
            runner(inputs)
            taken.append(time.process_time() - start)
    print(statistics.median(b / a for a, b in zip(*times, strict=True)), difference)


def main(path: Path, folder: Path) -> None:
    """The child: every `N.in` of `folder` becomes `N.out`."""
    large = sum(file.stat().st_size for file in path.parent.glob("*.safetensors")) > LARGE
    opener = onnxruntime.open_shared if large else onnxruntime.open_graph
    runner = opener(path, in_order=True)  # ranges are taken where values are made, not when all of them are
    for file in sorted(folder.glob("*.in")):
        save_file(runner(load_file(file)), file.with_suffix(".out"))
    print(machine.peak_bytes())


if __name__ == "__main__":
    what, *given = sys.argv[1:]
    if what == "race":
        _race(Path(given[0]), Path(given[1]), Path(given[2]), given[3])
    else:
        main(Path(given[0]), Path(given[1]))

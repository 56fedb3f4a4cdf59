"""A test of the tests: each fault of `mutants.toml`, put into a kernel's source, must be noticed."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.kernels import harness

MUTANTS: dict[str, dict[str, dict[str, Any]]] = tomllib.loads((harness.HERE / "mutants.toml").read_text())
QUICK = 2  # of each op, in CI; all of them in `make soak`


def faults() -> list[Any]:
    """(op, mutant), named by the fault. They are slow only because there are many."""
    return [
        pytest.param(op, mutant, id=fault, marks=[pytest.mark.slow] if index >= QUICK else [])
        for op, listed in MUTANTS.items()
        for index, (fault, mutant) in enumerate(listed.items())
    ]


def prove(op: str, library: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.kernels.prove", op, str(library)]
    return subprocess.run(
        command, cwd=harness.ROOT, env=os.environ | (environment or {}), capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize(("op", "mutant"), faults())
def test_a_fault_is_noticed(op: str, mutant: dict[str, Any], tmp_path: Path) -> None:
    kernels = shutil.copytree(harness.ROOT / "kernels", tmp_path / "kernels")
    source, place = kernels / mutant["file"], mutant.get("which", 0) + 1
    parts = source.read_text().split(mutant["before"])
    assert len(parts) > place, f"{mutant['before']!r} is no longer in {mutant['file']}"
    source.write_text(mutant["before"].join(parts[:place]) + mutant["after"] + mutant["before"].join(parts[place:]))
    alignment = ("-fsanitize=alignment", "-fsanitize-undefined-trap-on-error")  # as a GPU has it
    library = harness.compile_op(op, tmp_path / "mutant.so", kernels, ("-O0", "-Wno-error", *alignment))
    assert prove(op, library).returncode != 0, "nobody noticed"


@pytest.mark.parametrize("op", MUTANTS)
def test_sanitizers_find_nothing(op: str, tmp_path: Path) -> None:
    """Address and undefined behaviour, host and emulated CUDA."""
    library = harness.compile_op(op, tmp_path / "sanitized.so", flags=("-O1", *harness.SANITIZE))
    runtime = [harness.compiler(), "-print-file-name=libasan.so"]
    preload = subprocess.run(runtime, check=True, capture_output=True, text=True).stdout.strip()
    options = {"LD_PRELOAD": preload, "ASAN_OPTIONS": "detect_leaks=0:verify_asan_link_order=0", "OMP_NUM_THREADS": "2"}
    result = prove(op, library, options)
    assert result.returncode == 0 and "runtime error" not in result.stderr, result.stderr[-3000:]

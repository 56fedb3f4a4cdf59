"""Several processes, and processes that die: `halves.py` in interpreters of their own."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
NOBODY = 1000  # a step that is not reached


def run(launcher: list[str], *arguments: object) -> int:
    script = str(ROOT / "tests/distill/halves.py")
    command = [sys.executable, *launcher, script, *map(str, arguments)]
    environment = {"PYTHONPATH": str(ROOT), "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr[-2000:]
    return done.returncode


def losses(folder: Path) -> list[float]:
    rows = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


def test_two_processes_are_one_with_the_doubled_batch(pack: Path, toy_backbone: Path, tmp_path: Path) -> None:
    run([], pack, toy_backbone, tmp_path / "one", 4)
    run(TORCHRUN, pack, toy_backbone, tmp_path / "two", 2)
    assert len(losses(tmp_path / "one")) == 8
    # The log has five digits; sums in another order differ in the seventh, and Adam's first steps enlarge that.
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)


def test_a_killed_process_resumes_to_the_same_bits(pack: Path, toy_backbone: Path, tmp_path: Path) -> None:
    assert run([], pack, toy_backbone, tmp_path / "unbroken", 2, NOBODY) == 0
    assert run([], pack, toy_backbone, tmp_path / "killed", 2, 4) == -signal.SIGKILL
    assert not (tmp_path / "killed" / "average.safetensors").exists()
    assert run([], pack, toy_backbone, tmp_path / "killed", 2, NOBODY) == 0
    unbroken, killed = ((tmp_path / name / "average.safetensors").read_bytes() for name in ("unbroken", "killed"))
    assert killed == unbroken

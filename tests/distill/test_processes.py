"""Several processes, and processes that die: `halves.py` in interpreters of their own."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from codi_export.errors import CodiError
from distill import checkpoint, sharding

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


def same_bits(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_bits(one[name], other[name]) for name in one)
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def weights_and_moments(folder: Path) -> dict[str, Any]:
    state = checkpoint.load(folder)
    assert state is not None and state["step"] == 8
    return {"optimizer": state["optimizer"]["state"], **{name: state[name] for name in ("module", "average", "job")}}


def test_two_processes_that_share_a_model_are_one_with_all_of_it(
    pack: Path, toy_backbone: Path, tmp_path: Path
) -> None:
    run([], pack, toy_backbone, tmp_path / "one", 4, -1, "full")
    two = (pack, toy_backbone, tmp_path / "two", 2, -1, "full")
    run(TORCHRUN, *two, "fsdp")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)  # as above
    held = [json.loads((tmp_path / "two" / f"held-{rank}.json").read_text()) for rank in (0, 1)]
    for name, (first, count) in held[0].items():
        assert first == (count + 1) // 2 and first + held[1][name][0] == count, name  # every first dimension is even

    one, split = weights_and_moments(tmp_path / "one"), weights_and_moments(tmp_path / "two")
    for name, tensor in (one["module"] | one["job"]["target"]).items():
        whole = (split["module"] | split["job"]["target"])[name]
        torch.testing.assert_close(whole, tensor, rtol=1e-3, atol=2e-5)  # a step is up to 3e-4

    run(TORCHRUN, *two, "fsdp")  # nothing is left to do, but the state is read into shares and gathered again
    assert same_bits(weights_and_moments(tmp_path / "two"), split)
    run([], *two, "none")
    assert same_bits(weights_and_moments(tmp_path / "two"), split)


def test_one_process_has_nobody_to_share_with(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match="this is the only one"):
        sharding.shard(torch.nn.Linear(1, 1), torch.device("cpu"))

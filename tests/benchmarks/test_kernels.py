"""The dry form of the kernels' measurement: every arm runs once, and all that should answer alike do."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import kernels, patched
from benchmarks.works import Work, works


def main(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["kernels.py", *options])
    kernels.main()


def test_the_gpu_part_runs_dry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results/kernels.json"
    main(monkeypatch, "gpu", "--dry", "-o", str(out))
    result = json.loads(out.read_text())
    asked = {work.name for work in works("cpu", torch.float32, 8)}
    done = {row["work"] for row in result["rows"]}
    assert result["dry"] and asked < done and "U-Net and adapter step at 16x16" in done
    assert all(row["hot"] is row["cold"] is None for row in result["rows"]), "a dry run times nothing"
    assert result["rewrites"] == {} and set(result["sanitized"].values()) == {"not run: a dry run"}
    shown = capsys.readouterr().out
    assert "| torch channels_last |" in shown and ("| triton |" in shown) != ("triton" in result["missing"])


def test_host_arms_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    everything = works("cpu", torch.float32, 8)
    monkeypatch.setattr(kernels, "works", lambda *_: everything)
    monkeypatch.setattr(kernels.torch, "set_num_threads", lambda _: None)
    main(monkeypatch, "host", "--rounds", "2")
    assert "numpy and Pillow" in capsys.readouterr().out


def test_what_runs_under_the_sanitizer(monkeypatch: pytest.MonkeyPatch) -> None:
    main(monkeypatch, "check", "--dry")


def test_a_wrong_answer_stops_the_measurement() -> None:
    zero, one = torch.zeros(3), torch.ones(3)
    arms = {"torch": lambda: zero, "codi": lambda: one}
    with pytest.raises(SystemExit, match="codi and torch differ by 1"):
        kernels.check(Work("wrong", 12, lambda: arms))
    kernels.check(Work("another", 12, lambda: arms, other=("torch",)))
    kernels.check(Work("unmeasured", 12, lambda: arms), skipped=("codi",))


@pytest.mark.parametrize("status", [0, 1])
def test_compute_sanitizer_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert kernels.sanitize()["racecheck"].startswith("not run: ")
    tool = tmp_path / "compute-sanitizer"
    tool.write_text(f"#!{sys.executable}\nimport sys\nprint(sys.argv)\nsys.exit({status})\n")
    tool.chmod(0o755)
    if status:
        with pytest.raises(SystemExit, match=r"memcheck found something:[^$]*benchmarks.kernels"):
            kernels.sanitize()
    else:
        assert kernels.sanitize() == dict.fromkeys(kernels.TOOLS, "passed")


def test_a_rewrite_must_pay() -> None:
    times = {"a": (10.0, 7.9), "b": (10.0, 8.1)}
    rows: list[dict[str, Any]] = [
        {"work": work, "arm": arm, "cold": cold}
        for work, both in times.items()
        for arm, cold in zip(("torch", "transposed"), both, strict=True)
    ]
    found = kernels.rewrites([*rows, {"work": "c", "arm": "transposed", "cold": None}])
    assert {work: rewrite["adopt"] for work, rewrite in found.items()} == {"a": True, "b": False}


def test_spread_is_the_median_and_the_middle_half() -> None:
    assert kernels.spread([1.0, 2.0, 3.0, 4.0, 100.0]) == (3.0, [1.5, 52.0])
    assert kernels.spread([7.0]) == (7.0, [7.0, 7.0])


class Seen(torch.utils._python_dispatch.TorchDispatchMode):
    """The names of what was called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(str(function).removesuffix(".default"))
        return function(*args, **kwargs or {})


def test_a_patched_step_leaves_torch_no_norm_and_no_geglu() -> None:
    arms = patched.step_work("cpu", torch.float32, kernels.TINY, 16).make()
    with Seen() as plain:
        expected = arms["torch channels_last"]()
    with Seen() as ours:
        torch.testing.assert_close(arms["codi"](), expected)
    replaced = {"aten.native_group_norm", "aten.gelu"}
    assert replaced <= plain.names and not replaced & ours.names
    assert {"codi.group_norm_silu", "codi.geglu"} <= ours.names

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from codi_export.errors import CodiError, ErrorCode
from distill import checkpoint
from distill.config import TrainConfig
from distill.trainer import Batch, fraction, learning_rate, train


class Line:
    """A job that fits y = 2 x and can be killed after some steps."""

    def __init__(self, die_at: int = 10**9) -> None:
        torch.manual_seed(0)
        self.module = nn.Linear(1, 1)
        self.die_at = die_at
        self.seen = 0

    def gradient_path(self) -> list[nn.Module]:
        return [self.module]

    def seek(self, step: int) -> None:
        self.sought = step

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        x = torch.from_numpy(rng.standard_normal((size, 1), dtype=np.float32))
        return {"x": x, "y": 2 * x}

    def loss(self, module: nn.Module, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        noise = 0.01 * torch.randn(batch["x"].shape, generator=rng)
        loss = (module(batch["x"] + noise) - batch["y"]).square().mean()
        return loss, {"squared": loss}

    def settings(self) -> dict[str, Any]:
        return {"line.slope": 2}

    def stepped(self, module: nn.Module, step: int) -> None:
        self.seen += 1
        if step == self.die_at:
            raise KeyboardInterrupt

    def state(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def restore(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]

    def validate(self, average: nn.Module, picture: Path) -> dict[str, float]:
        return {"weight": average.weight.item()}  # type: ignore[union-attr, operator]


CONFIG = TrainConfig(steps=150, batch_size=8, learning_rate=0.05, warmup=5, save_every=20, validate_every=50)


def test_it_learns_and_writes_a_log(tmp_path: Path) -> None:
    average = train(Line(), CONFIG, tmp_path)
    assert average.weight.item() == pytest.approx(2, abs=0.1)  # type: ignore[union-attr, operator]
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {"step", "seconds", "loss", "squared"} == set(rows[0])
    assert rows[-1]["weight"] == pytest.approx(2, abs=0.1)


def test_a_killed_run_resumes_to_the_same_bits(tmp_path: Path) -> None:
    unbroken = train(Line(), CONFIG, tmp_path / "unbroken")
    with pytest.raises(KeyboardInterrupt):
        train(Line(die_at=77), CONFIG, tmp_path / "killed")
    job = Line()
    resumed = train(job, CONFIG, tmp_path / "killed")
    assert torch.equal(resumed.weight, unbroken.weight)  # type: ignore[union-attr, arg-type]
    assert job.seen == CONFIG.steps


def test_resuming_with_other_settings_names_the_first_that_differs(tmp_path: Path) -> None:
    train(Line(), replace(CONFIG, steps=20), tmp_path)
    with pytest.raises(CodiError, match=r"has train\.learning_rate = 0\.05, not 0\.1") as raised:
        train(Line(), replace(CONFIG, learning_rate=0.1), tmp_path)
    assert raised.value.code is ErrorCode.BAD_OPTION
    train(Line(), replace(CONFIG, steps=30, save_every=7), tmp_path)  # the budget may grow


def test_accumulated_batches_are_one_large_batch(tmp_path: Path) -> None:
    """The gradient of the mean of two halves' means; the noise of the second half follows that of the first."""
    parts = train(Line(), replace(CONFIG, steps=20, batch_size=4, accumulate=2), tmp_path / "parts")
    whole = train(Line(), replace(CONFIG, steps=20, batch_size=8), tmp_path / "whole")
    torch.testing.assert_close(parts.weight, whole.weight, rtol=1e-4, atol=1e-6)


class Cliff(Line):
    """Its loss is no number at step 30."""

    def loss(self, module: nn.Module, batch: Batch, rng: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        loss, parts = super().loss(module, batch, rng)
        return (loss * math.nan if self.seen == 30 else loss), parts


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_state(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match=r"the loss is nan at step 30 \(batch 30 of seed 0, process 0\)") as raised:
        train(Cliff(), CONFIG, tmp_path)
    assert raised.value.code is ErrorCode.DIVERGED
    state = checkpoint.load(tmp_path)
    assert state is not None and state["step"] == 20
    assert all(torch.isfinite(value).all() for value in state["module"].values())


def test_recomputing_activations_needs_a_module_that_can(tmp_path: Path) -> None:
    with pytest.raises(CodiError, match=r"gradient_checkpointing: .* found none in Linear"):
        train(Line(), replace(CONFIG, gradient_checkpointing=True), tmp_path)


def test_the_budget_ends_by_whichever_comes_first() -> None:
    config = TrainConfig(steps=100, seconds=50)
    assert fraction(config, 10, 25.0) == 0.5
    assert fraction(config, 90, 25.0) == 0.9
    assert fraction(TrainConfig(steps=100), 10, 1e9) == 0.1


def test_the_rate_warms_up_and_falls_to_its_end() -> None:
    config = TrainConfig(steps=1000, learning_rate=1.0, final_learning_rate=0.1, warmup=10)
    assert learning_rate(config, 0, 0.0) == pytest.approx(0.1)
    assert learning_rate(config, 10, 0.0) == 1.0
    assert learning_rate(config, 999, 1.0) == pytest.approx(0.1)
    assert math.isclose(learning_rate(config, 500, 0.5), 0.55)


def test_a_state_is_read_without_running_code(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None
    checkpoint.save(tmp_path, {"step": 3, "weights": {"a": torch.ones(2)}})
    state = checkpoint.load(tmp_path)
    assert state is not None and state["step"] == 3
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.NAME]


class Trailing(Line):
    """A job whose target network trails far behind."""

    def validate(self, average: nn.Module, picture: Path) -> dict[str, float]:
        return {"drift": 0.5}


def test_a_failure_signature_is_logged_and_said_once_even_when_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for steps in (120, 200):  # warns at step 90, the third validation
        train(Trailing(), TrainConfig(steps=steps, batch_size=8, save_every=20, validate_every=30), tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    warnings = [row for row in rows if "warning" in row]
    assert [(row["step"], row["signature"]) for row in warnings] == [(90, "unsteady training")]
    assert capsys.readouterr().err.count(warnings[0]["warning"]) == 1
    assert warnings[0]["warning"] in (tmp_path / "training.html").read_text()


def test_a_state_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint.save(tmp_path, {"step": 1})

    def half(state: Any, file: Path) -> None:
        file.write_bytes(b"half a state")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(CodiError, match="No space left on device") as raised:
        checkpoint.save(tmp_path, {"step": 2})
    assert raised.value.code is ErrorCode.WRITE_FAILED
    monkeypatch.undo()
    assert checkpoint.load(tmp_path) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == [checkpoint.NAME]

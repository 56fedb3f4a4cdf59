import json
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from distill import diagnostics, history
from distill.diagnostics import WINDOW, Watch
from distill.history import Row

HEALTHY = {
    "diversity": 0.08,
    "diversity_data": 0.13,
    "chroma": 0.129,
    "chroma_data": 0.12,
    "clipped": 0.016,
    "clipped_data": 0.054,
    "loss_variance": 0.2,
    "drift": 0.08,
}


def _validations(count: int, **figures: float) -> list[Row]:
    return [{"step": 100 * (index + 1), **HEALTHY, **figures} for index in range(count)]


def _flat(*values: float) -> torch.Tensor:
    """[B, 3, 8, 8], one value a picture."""
    return torch.tensor(values)[:, None, None, None].expand(-1, 3, 8, 8)


def test_distances_over_seeds_and_to_the_data() -> None:
    outputs = torch.stack([_flat(0.0, 0.0), _flat(0.3, 0.0), _flat(0.0, 0.6)])
    # squared distances of the pairs, over two pictures: 0.09 / 2, 0.36 / 2, (0.09 + 0.36) / 2
    assert diagnostics.seed_distance(outputs) == pytest.approx(math.sqrt((0.045 + 0.18 + 0.225) / 3))
    assert diagnostics.data_distance(outputs, _flat(0.0, 0.0)) == pytest.approx(math.sqrt((0.09 + 0.36) / 6))


def test_draws_from_what_the_data_may_be_are_as_far_from_it_as_from_each_other() -> None:
    draws = torch.randn(3, 64, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ratio = diagnostics.seed_distance(draws[:2]) / diagnostics.data_distance(draws[:2], draws[2])
    assert ratio == pytest.approx(1, abs=0.02)  # 98,304 squares a pair: 2 % is six deviations


def test_chroma_is_of_tiles_not_of_noise() -> None:
    red = torch.tensor([1.0, 0.0, -1.0])[None, :, None, None].expand(1, 3, 16, 16)
    assert diagnostics.chroma(red) == pytest.approx(1)
    assert diagnostics.chroma(torch.cat([red, torch.zeros_like(red)])) == pytest.approx(0.5)
    checks = (torch.arange(16)[:, None] + torch.arange(16)) % 2 * 2.0 - 1
    assert diagnostics.chroma(torch.stack([checks, -checks, checks])[None]) == 0


def test_clipped_counts_what_rounds_to_black_or_white() -> None:
    levels = torch.tensor([0, 1, 254, 255]) / 127.5 - 1
    assert diagnostics.clipped(levels.repeat(1, 3, 2, 2)) == 0.5
    assert diagnostics.clipped(torch.tensor([-0.998, 0.998, 0.99, -0.99])) == 0.5  # 0.25, 254.75, 253.7, 1.3 of 255


def test_drift_is_relative_and_of_what_is_trained() -> None:
    online, average = nn.Linear(2, 1), nn.Linear(2, 1)
    for module, weights, bias in ((online, [3.3, 4.4], 7.0), (average, [3.0, 4.0], 0.0)):
        module.weight.data, module.bias.data = torch.tensor([weights]), torch.tensor([bias])
    online.bias.requires_grad_(False)
    assert diagnostics.drift(online, average) == pytest.approx(0.1)


def test_loss_variance_is_free_of_scale() -> None:
    assert diagnostics.loss_variance([1.0, 3.0]) == pytest.approx(1 / 4)
    assert diagnostics.loss_variance([1e-3, 3e-3]) == pytest.approx(1 / 4)


def test_loss_variance_is_of_a_full_window_of_the_latest() -> None:
    rows: list[Row] = [{"step": step, "loss": 1.0 + 2 * (step % 2)} for step in range(WINDOW)]
    assert diagnostics.of_history(rows[:-1]) == {}
    assert diagnostics.of_history([{"step": 0, "loss": 1e9}, *rows]) == {"loss_variance": pytest.approx(1 / 4)}


def test_a_healthy_run_is_left_alone() -> None:
    assert Watch().new(_validations(9)) == {}


@pytest.mark.parametrize(
    ("figure", "value", "name", "knob"),
    [
        ("diversity", 0.02, "loss of diversity", "weight"),  # limit 0.2 * 0.13 = 0.026
        ("chroma", 0.15, "over-saturation", "guidance"),  # limit 1.2 * 0.12 = 0.144
        ("clipped", 0.08, "over-saturation", "guidance"),  # limit 0.054 + 0.02 = 0.074
        ("loss_variance", 1.5, "unsteady training", "batch_size"),
        ("drift", 0.3, "unsteady training", "learning_rate"),
    ],
)
def test_a_signature_is_named_with_value_limit_and_knob(figure: str, value: float, name: str, knob: str) -> None:
    rows = _validations(3, **{figure: value})
    assert Watch().new(rows[:2]) == {}, "the first validation does not count, and one is not enough"
    warnings = Watch().new(rows)
    assert list(warnings) == [name]
    limit = Watch().limit(figure, rows[-1])
    assert f"({figure} {value:.3g}, limit {limit:.3g})" in warnings[name] and knob in warnings[name]
    assert Watch().new([*rows[:2], *_validations(4)[2:3], {**rows[2], "step": 400}]) == {}, "not in a row"


def test_a_signature_with_two_figures_warns_once() -> None:
    assert list(Watch().new(_validations(3, chroma=0.2, clipped=0.2))) == ["over-saturation"]


def test_two_validations_of_one_step_count_once() -> None:
    rows = _validations(2, drift=0.3)
    assert Watch().new([*rows, rows[-1]]) == {}


def test_a_run_without_pictures_is_watched_for_its_loss() -> None:
    rows: list[Row] = [{"step": step, "psnr_db": 20.0, "loss_variance": 2.0} for step in (1, 2, 3)]
    assert list(Watch().new(rows)) == ["unsteady training"]


def test_a_warning_in_the_log_is_not_given_again(tmp_path: Path) -> None:
    for row in _validations(3, drift=0.3):
        history.append(tmp_path, row)
    ((name, text),) = Watch().new(history.read(tmp_path)).items()
    history.append(tmp_path, {"step": 300, "signature": name, "warning": text})
    for row in [*_validations(2, drift=0.3)[1:], *_validations(5, drift=0.3)[2:]]:  # resumed before the warning
        history.append(tmp_path, row)
    rows = history.read(tmp_path)
    assert [row["step"] for row in rows if "drift" in row] == [100, 200, 300, 400, 500]
    assert Watch().new(rows) == {}


def test_a_line_cut_short_is_left_out(tmp_path: Path) -> None:
    assert history.read(tmp_path) == []
    (tmp_path / history.NAME).write_text(json.dumps({"step": 1, "loss": 2.0}) + '\n{"step": 2, "lo')
    assert history.read(tmp_path) == [{"step": 1, "loss": 2.0}]

"""The sum is the adapters' own pipelines, and the report names every arm."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from codi_export.model import fuse, text
from codi_export.recipe import Recipe, prepare
from codi_export.runtime.noise import normal
from codi_export.spec import AdapterSpec, BuildSpec
from distill import scores, together
from distill.cli import main
from distill.data.pictures import Reading
from distill.evaluate import Tile, cut_folder
from tests import tiny


@pytest.fixture(scope="module")
def recipes(toy_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Recipe]:
    """Toys for both tasks, whose weights differ."""
    made = []
    for seed, task in enumerate(together.TASKS):
        folder = tmp_path_factory.mktemp(task)
        tiny.adapter(folder, toy_backbone, AdapterSpec(task, condition="unshuffled", image_size=32), seed=seed)
        made.append(prepare(BuildSpec(task, together.STEPS, str(toy_backbone), (str(folder),))))
    return made


@pytest.fixture(scope="module")
def tiles(scenes: Path) -> list[Tile]:
    return cut_folder(scenes / "scenes" / "train-0000.tar", 32, Reading(condition="depth"))[:3]


def test_an_adapter_that_counts_alone_makes_what_its_bundle_makes(recipes: list[Recipe], tiles: list[Tile]) -> None:
    seen = together.seen(tiles)
    prompt = text.embed(recipes[0].backbone.folder, [tile.caption for tile in tiles]).words
    noise = torch.from_numpy(normal(5, (len(tiles), *recipes[0].noise_shape[1:])))
    for index, (recipe, scales) in enumerate(zip(recipes, ((1.0, 0.0), (0.0, 1.0)), strict=True)):
        own = torch.from_numpy(seen[..., 3 * index : 3 * index + 3])
        wanted = fuse.run(recipe.pieces(), recipe.schedules[1], recipe.sampler, own, noise, None, prompt)[1]
        made = together.make(recipes, scales, 2, seen, prompt, seed=5)
        torch.testing.assert_close(made, wanted, atol=1e-5, rtol=0)
    one, other = (together.make(recipes, scales, 2, seen, prompt, seed=5) for scales in ((1.0, 1.0), (0.0, 0.0)))
    assert (one - other).abs().max() > 1e-3


def test_the_command_reports_every_arm(
    recipes: list[Recipe], scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "prepare", lambda spec: recipes[together.TASKS.index(spec.task)])
    monkeypatch.setattr(scores, "Judge", lambda originals: lambda made: made.square().mean(dim=(1, 2, 3)).numpy())
    data = str(scenes / "scenes" / "train-0000.tar")
    options = ["--data", data, "-o", str(tmp_path), "--seeds", "3,4", "--pictures", "2"]
    result = CliRunner().invoke(main, ["together", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    document = json.loads((tmp_path / "together.json").read_text())
    assert document["pictures"] == ["train-0000/0000"] * 2 and document["seeds"] == [3, 4]
    assert len(document["rows"]) == len(together.ARMS) * len(together.STEPS)
    assert {one["holm_p"] <= 1 for one in document["comparisons"]} == {True}
    assert "| half of each | 4 | scenes |" in (tmp_path / "together.md").read_text()
    assert (tmp_path / "together.png").stat().st_size > 1000

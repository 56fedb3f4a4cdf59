"""From the command to the three files, on toys: two arms, two seeds, two steps."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from distill import arms, experiment, trials
from distill.cli import main
from distill.trials import Plan, Trial

SEEDS = (0, 1)
ARMS = ("codi", "codi-ddim")


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """All arms judged on few pixels."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arms, "ARMS", {name: replace(arm, side=48) for name, arm in arms.ARMS.items()})
        yield


@pytest.fixture(scope="module")
def plan(pack: Path, toy_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """The experiment `predictor`, finished."""
    plan = Plan(pack, str(toy_backbone), tmp_path_factory.mktemp("results"), steps=2, batch_size=2, pictures=2)
    experiment.run(["predictor"], plan, SEEDS)
    return plan


def _document(page: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(page.with_suffix(".json").read_text())
    return document


def test_every_figure_is_reported(plan: Plan) -> None:
    (page,) = experiment.report(["predictor"], plan, SEEDS)
    document = _document(page)
    assert document["unfinished"] == [] and {"processor", "packages", "date"} <= document.keys()
    assert len(document["rows"]) == 2 * 5 * 2, "arms, lists, conditions"
    assert len(document["comparisons"]) == 5 * 2
    assert {(one["arm"], one["seed"]) for one in document["trials"]} == {(arm, seed) for arm in ARMS for seed in SEEDS}
    for one in document["trials"]:
        assert one["pictures"] == ["0.png", "1.png"] and one["parameters"] > 0 and one["seconds"]["training"] >= 0
        assert one["prior"] == document["trials"][0]["prior"] > 0, "the U-Net is frozen"
        for figures in (figures for conditions in one["lists"].values() for figures in conditions.values()):
            assert figures["kid"] is None, "of two pictures it says nothing"
            assert all(len(figures[metric]) == 2 for metric in ("psnr_db", "perceptual", "chroma", "clipped"))
    assert document["arms"]["codi-ddim"]["method"]["predictor"] == "ddim"
    text = page.read_text()
    assert "| codi-ddim | 4 noisy | degraded |" in text and "Unfinished: nothing" in text
    with Image.open(page.with_suffix(".png")) as picture:
        assert picture.width > 600


def test_what_is_finished_is_not_trained_again(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "train", None)
    experiment.run(["predictor"], plan, SEEDS)


def test_both_arms_of_a_seed_meet_the_same_noise_and_pictures(plan: Plan) -> None:
    one, other = (trials.read(plan, Trial(arm, 0)) for arm in ARMS)
    assert one is not None and other is not None
    assert one["pictures"] == other["pictures"] and one["lists"].keys() == other["lists"].keys() | {"8"}
    assert one["lists"]["1"] != trials.read(plan, Trial("codi", 1))["lists"]["1"]  # type: ignore[index]


def test_an_unfinished_arm_is_listed_and_its_seed_left_out(plan: Plan) -> None:
    scores = plan.folder(Trial("codi-ddim", 1)) / trials.SCORES
    kept = scores.read_text()
    scores.unlink()
    try:
        (page,) = experiment.report(["predictor"], plan, SEEDS)
    finally:
        scores.write_text(kept)
    document = _document(page)
    assert document["unfinished"] == [{"arm": "codi-ddim", "seed": 1}]
    assert "Unfinished: codi-ddim seed 1." in page.read_text()
    assert {one["verdict"] for one in document["comparisons"]} == {"one seed"}


def test_another_budget_is_another_trial(plan: Plan, pack: Path) -> None:
    longer = Plan(pack, plan.model, plan.results, steps=3, batch_size=2, pictures=2)
    assert trials.read(longer, Trial("codi", 0)) is None
    assert trials.read(Plan(pack, plan.model, plan.results, 2, 2, pictures=1), Trial("codi", 0)) is None


def test_two_stages_share_the_budget_and_the_first_is_handed_on(pack: Path, toy_backbone: Path, tmp_path: Path) -> None:
    plan = Plan(pack, str(toy_backbone), tmp_path, steps=4, batch_size=2, pictures=1)
    wanted = trials.trials(["gd-ii", "gd-i"], [0])
    assert [trial.arm for trial in wanted] == ["denoise-first", "gd-ii", "gd-first", "gd-i"]
    trials.run(plan, wanted, jobs=1)
    found = [trials.read(plan, trial) for trial in wanted]
    assert [list(one["lists"]) for one in found if one] == [[], ["1", "2 even", "4 even"]] * 2
    assert all(trials.train_config(plan, arms.get(trial.arm), 0).steps == 2 for trial in wanted)


def test_the_command(plan: Plan, pack: Path) -> None:
    options = ["--data", pack, "--model", plan.model, "-o", plan.results, "--seeds", "5", "--steps-budget", 9]
    result = CliRunner().invoke(main, ["experiment", "predictor", "--report", *map(str, options)])
    assert result.exit_code == 0, result.output
    assert "predictor.md" in result.output
    assert len(_document(plan.results / "predictor.md")["unfinished"]) == 2

"""What the options name is loaded, and found to fit together, before anything is traced."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import FACTS
from codi_export.recipe import Recipe, prepare
from codi_export.spec import AdapterSpec, BuildSpec
from tests import tiny


def recipe() -> Recipe:
    return tiny.recipe("epsilon")


def spec() -> BuildSpec:
    return recipe().spec


def refused(wrong: BuildSpec) -> CodiError:
    with pytest.raises(CodiError) as raised:
        prepare(wrong)
    return raised.value


def test_shapes_follow_from_the_size() -> None:
    one = prepare(replace(spec(), height=48, width=64, batch_size=3))
    assert (one.image_shape, one.noise_shape, one.output_shape) == ((3, 12, 16, 3), (3, 4, 12, 16), (3, 48, 64, 3))


def test_the_size_is_the_backbones_own_unless_given() -> None:
    assert recipe().size == (32, 32)


@pytest.mark.parametrize(("option", "pixels", "near"), [("height", 36, 32), ("width", 4, 8)])
def test_sizes_that_do_not_divide(option: str, pixels: int, near: int) -> None:
    error = refused(replace(spec(), **{option: pixels}))
    assert error.message == f"--{option} {pixels}: expected a multiple of 8"
    assert error.hint == f"--{option} {near} would do"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"task": "srr"}, "unknown task 'srr'; available: canny, depth, edit, inpaint, sr"),
        ({"sampler": "euler"}, "unknown sampler 'euler'; available: ddim, prev"),
        ({"model": "maxi"}, "unknown model 'maxi'"),
    ],
)
def test_unknown_names(change: dict[str, str], says: str) -> None:
    error = refused(replace(spec(), **change))
    assert error.code is ErrorCode.UNKNOWN_NAME
    assert error.message.startswith(says)


def test_a_folder_wants_an_adapter() -> None:
    assert "no adapter given" in refused(replace(spec(), adapters=())).message


def test_an_adapter_of_another_task() -> None:
    error = refused(replace(spec(), task="depth"))
    assert "was trained for task 'sr', not 'depth'" in error.message
    assert error.hint == "--task sr builds it"


def test_an_adapter_of_another_backbone(tmp_path: Path) -> None:
    wider = tiny.backbone(tmp_path / "model", width=32)
    adapter = tiny.plain_controlnet(tmp_path / "adapter", wider, (4, 8, 16))
    assert "channels per level: (32, 64); the backbone" in refused(replace(spec(), adapters=(str(adapter),))).message


def test_what_an_adapter_was_trained_for_is_compared(tmp_path: Path) -> None:
    """Its own list of timesteps for 2 steps and no word on 1; trained with prev, built with ddim."""
    folder = Path(shutil.copytree(spec().adapters[0], tmp_path / "adapter"))
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps({**facts, "timesteps": {"2": [999, 239]}}))
    one = prepare(replace(spec(), adapters=(str(folder),), sampler="ddim", steps=(1, 2)))
    assert [[step.t for step in schedule.steps] for schedule in one.schedules] == [[999], [999, 239]]
    assert one.warnings(2) == ("the adapter was trained for sampler 'prev', not 'ddim'",)
    assert len(one.warnings(1)) == 2


def test_a_plain_controlnet_is_said_to_be_one(tmp_path: Path) -> None:
    folder = tiny.plain_controlnet(tmp_path, Path(spec().model), (4, 8, 16))
    one = prepare(replace(spec(), adapters=(str(folder),)))
    assert one.sampler.name == "ddim"
    assert [[step.t for step in schedule.steps] for schedule in one.schedules] == [
        [999],
        [999, 499],
        [999, 749, 499, 249],
    ]
    assert one.warnings(2) == (
        f"{folder} has no codi_adapter.json: an ordinary adapter, not distilled for few steps",
        "it is sampled with ddim, at t = 999, 499",
    )


def test_a_sampler_that_is_asked_for_is_used(tmp_path: Path) -> None:
    folder = tiny.plain_controlnet(tmp_path, Path(spec().model), (4, 8, 16))
    assert prepare(replace(spec(), adapters=(str(folder),), sampler="prev")).sampler.name == "prev"
    assert recipe().sampler.name == "prev", "the adapter's own"


def test_the_prompt_is_the_tasks_unless_given() -> None:
    """An empty prompt is a prompt."""
    given, own, empty = (prepare(replace(spec(), prompt=text)).pieces().prompt for text in ("a sharp photo", None, ""))
    assert not given.equal(own)
    assert own.equal(empty), "sr reads no text"


def test_adapters_that_cannot_be_summed(tmp_path: Path) -> None:
    model, first = Path(spec().model), spec().adapters[0]
    other = tiny.adapter(tmp_path / "other", model, AdapterSpec("sr", condition="unshuffled"))
    assert "reads the condition as 'unshuffled'" in refused(replace(spec(), adapters=(first, str(other)))).message
    own = Path(shutil.copytree(first, tmp_path / "own"))
    shutil.copytree(model / "unet", own / "unet")
    assert "brings a U-Net of its own" in refused(replace(spec(), adapters=(first, f"{own}:0.5"))).message

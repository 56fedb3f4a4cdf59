"""Another adapter in a finished bundle, and the first one back."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch

import codi_export
from codi_export import bundle
from codi_export.cli.main import main
from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import FACTS, WEIGHTS
from codi_export.records import to_json
from codi_export.runtime.verify import checks
from codi_export.spec import AdapterSpec
from codi_export.swap import swap
from tests import tiny
from tests.fake_bundle import contents

Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Pair]:
    """A backbone and two adapters of one shape; the second with every weight changed."""
    root = tmp_path_factory.mktemp("swap")
    model = tiny.backbone(root / "model", vae="tiny")
    first = tiny.adapter(root / "first", model, AdapterSpec("depth"))
    second = Path(shutil.copytree(first, root / "second"))
    (second / "README.md").write_text("license: mit")
    weights = safetensors.numpy.load_file(second / WEIGHTS)
    safetensors.numpy.save_file({name: 0.8 * value for name, value in weights.items()}, second / WEIGHTS)
    return model, (first, second)


@pytest.fixture(scope="module")
def built(adapters: tuple[Path, Pair], tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """A bundle with each."""
    model, pair = adapters
    out = tmp_path_factory.mktemp("built")
    for adapter in pair:
        codi_export.build("depth", 2, out / adapter.name, model=str(model), adapter=str(adapter))
    return out / "first", out / "second"


@pytest.fixture
def folder(built: Pair, tmp_path: Path) -> Path:
    """A copy of the first bundle."""
    return Path(shutil.copytree(built[0], tmp_path / "bundle"))


def test_a_swap_is_a_build_with_the_other_adapter_and_back_again(
    folder: Path, built: Pair, adapters: tuple[Path, Pair]
) -> None:
    before, (first, second) = contents(folder), adapters[1]
    manifest = swap(folder, second)
    fresh = contents(built[1])
    assert contents(folder)["graphs/depth.safetensors"] == fresh["graphs/depth.safetensors"]
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    swapped, wanted, old = (codi_export.load(one)(image, seed=1) for one in (folder, *reversed(built)))
    assert np.array_equal(swapped, wanted) and not np.array_equal(swapped, old)
    assert manifest == bundle.read_manifest(folder) and manifest.licences["depth"] == "mit"
    (check,) = (check for check in checks(folder) if check.name.startswith("golden "))
    assert check.ok and "not recorded for this adapter" in check.detail
    swap(folder, first)
    assert contents(folder) == before
    assert all(check.ok for check in checks(folder))


def test_the_command(folder: Path, adapters: tuple[Path, Pair], capsys: pytest.CaptureFixture[str]) -> None:
    first, second = map(str, adapters[1])
    assert main(["swap", str(folder), "--adapter", second, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "bundle": str(folder), "adapter": second, "graphs": ["depth-2step"], "recorded": []
    }  # fmt: skip
    assert main(["inspect", str(folder)]) == 0
    assert "not measured with this adapter" in capsys.readouterr().out
    assert main(["swap", str(folder), "--task", "depth", "--adapter", first]) == 0
    assert "depth-2step with" in capsys.readouterr().out
    assert main(["swap", str(folder), "--task", "sr", "--adapter", first]) == 1
    assert "has no task 'sr'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        (AdapterSpec("sr"), "has task = 'sr'; the graphs were built for 'depth'"),
        (AdapterSpec("depth", condition="unshuffled"), "has condition = 'unshuffled'"),
        (AdapterSpec("depth", timesteps={"2": (999, 239)}), r"timesteps for 2 steps = \[999, 239\]; .* \[999, 499\]"),
    ],
)
def test_what_a_build_would_have_made_otherwise_is_refused(
    folder: Path, adapters: tuple[Path, Pair], tmp_path: Path, facts: AdapterSpec, says: str
) -> None:
    other, before = Path(shutil.copytree(adapters[1][1], tmp_path / "other")), contents(folder)
    (other / FACTS).write_text(json.dumps(to_json(facts)))
    with pytest.raises(CodiError, match=says) as raised:
        swap(folder, other)
    assert raised.value.code is ErrorCode.BAD_MODEL
    assert contents(folder) == before


def test_an_adapter_that_is_not_there_is_said_to_be_missing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CodiError, match="no adapter at") as raised:
        swap(folder, tmp_path / "none")
    assert raised.value.code is ErrorCode.MISSING_FILE


def test_an_adapter_with_a_u_net_of_its_own_is_refused(
    folder: Path, adapters: tuple[Path, Pair], tmp_path: Path
) -> None:
    other = Path(shutil.copytree(adapters[1][1], tmp_path / "other"))
    (other / "unet").mkdir()
    with pytest.raises(CodiError, match="has unet = True"):
        swap(folder, other)


def test_a_bundle_of_such_an_adapter_takes_no_other(folder: Path, adapters: tuple[Path, Pair]) -> None:
    bundle.write_manifest(folder, replace(bundle.read_manifest(folder), own_unet=True))
    before = contents(folder)
    with pytest.raises(CodiError, match="built with an adapter that has a U-Net of its own"):
        swap(folder, adapters[1][1])
    assert contents(folder) == before


def test_a_swap_that_was_killed_is_repeated(folder: Path, built: Pair, adapters: tuple[Path, Pair]) -> None:
    """Between its two files: the weights are new, the manifest is not."""
    weights = "graphs/depth.safetensors"
    shutil.copy2(built[1] / weights, folder / weights)
    assert not all(check.ok for check in checks(folder))
    swap(folder, adapters[1][1])
    assert all(check.ok for check in checks(folder))


def test_another_shape_is_named_and_changes_nothing(folder: Path, adapters: tuple[Path, Pair], tmp_path: Path) -> None:
    other, before = Path(shutil.copytree(adapters[1][1], tmp_path / "other")), contents(folder)
    weights = safetensors.numpy.load_file(other / WEIGHTS)
    name, value = max(weights.items(), key=lambda item: item[1].size)
    without = {key: one for key, one in weights.items() if key != name}
    for wrong, says in [
        (without, f"only the bundle's adapter has 'adapter.{name}'"),
        ({**weights, "more": value}, "only the new adapter has 'adapter.more'"),
        ({**weights, name: value[:1]}, f"'adapter.{name}' is "),
    ]:
        safetensors.numpy.save_file({key: np.ascontiguousarray(one) for key, one in wrong.items()}, other / WEIGHTS)
        with pytest.raises(CodiError, match=says):
            swap(folder, other)
    torch.save({}, other / WEIGHTS)
    with pytest.raises(CodiError, match="does not load"):
        swap(folder, other)
    assert contents(folder) == before

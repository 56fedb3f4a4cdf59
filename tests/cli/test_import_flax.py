"""codi-export import-flax, and a build with what it made."""

import json
from pathlib import Path

import pytest
import torch

from codi_export.cli.main import main
from codi_export.model import adapter, from_flax
from tests import flax_files, tiny

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.backbone(tmp_path_factory.mktemp("model"), width=32)


@pytest.fixture(scope="module")
def checkpoint(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flax_files.write(flax_files.controlnet(model), tmp_path_factory.mktemp("flax") / "canny")


def test_it_becomes_an_adapter_that_builds(model: Path, checkpoint: Path, tmp_path: Path, capsys: Output) -> None:
    made = tmp_path / "adapter"
    assert (
        main(["import-flax", str(checkpoint), "-o", str(made), "--model", str(model), "--points", "20", "--json"]) == 0
    )
    report = json.loads(capsys.readouterr().out)
    loaded, wanted = adapter.load(made), flax_files.controlnet(model)
    assert report["parameters"] == sum(tensor.numel() for tensor in wanted.parameters())
    assert loaded.facts is not None
    assert (loaded.facts.task, loaded.facts.predictor, loaded.facts.L, loaded.facts.gap) == ("canny", "ddim", 20, 50)
    for name, tensor in wanted.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[name], tensor.half().float()), name
    build = ["build", "--task", "canny", "--steps", "2", "--sampler", "ddim", "--model", str(model)]
    assert main([*build, "--adapter", str(made), "-o", str(tmp_path / "bundle"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["graphs"][0]["parity_db"] >= 60
    assert "warning" not in printed.err


def test_the_orbax_folder_of_flax_does_too(model: Path, tmp_path: Path, capsys: Output) -> None:
    folder = flax_files.write(flax_files.controlnet(model), tmp_path / "checkpoint_100", "checkpoint")
    assert main(["import-flax", str(folder), "-o", str(tmp_path / "adapter")]) == 0
    assert "for task canny and --sampler ddim" in capsys.readouterr().out
    assert adapter.load(tmp_path / "adapter").facts == from_flax.facts("canny", 50)


@pytest.mark.parametrize(
    ("options", "status", "says"),
    [
        (["--task", "birds"], 1, "unknown task 'birds'"),
        (["--model", "maxi"], 1, "unknown model 'maxi'"),
        (["--model", "mini"], 1, "the backbone"),
        (["--points", "5"], 2, "5 is not in the range 20<=x<=1000"),
    ],
)
def test_mistakes_get_one_clear_line_and_nothing_is_written(
    checkpoint: Path, options: list[str], status: int, says: str, tmp_path: Path, capsys: Output
) -> None:
    assert main(["import-flax", str(checkpoint), "-o", str(tmp_path / "adapter"), *options]) == status
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_cut_short(checkpoint: Path, tmp_path: Path, capsys: Output) -> None:
    file = tmp_path / "canny.msgpack"
    file.write_bytes((checkpoint / "diffusion_flax_model.msgpack").read_bytes()[:-100])
    assert main(["import-flax", str(file), "-o", str(tmp_path / "adapter")]) == 1
    assert "is damaged" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_with_something_in_it_is_left_alone(checkpoint: Path, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "photo.jpg").touch()
    assert main(["import-flax", str(checkpoint), "-o", str(tmp_path)]) == 1
    assert "exists" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["photo.jpg"]

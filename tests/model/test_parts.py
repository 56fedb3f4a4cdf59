"""Parts of folders that are incomplete, damaged or of another shape than their config says: each is named."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from codi_export.errors import CodiError, ErrorCode
from codi_export.model import parts
from tests import tiny

WEIGHTS = "diffusion_pytorch_model.safetensors"
Tensors = dict[str, torch.Tensor]


@pytest.fixture
def unet(tmp_path: Path) -> Path:
    """A copy of the toy's, to be spoilt."""
    return Path(shutil.copytree(Path(tiny.recipe("epsilon").spec.model, "unet"), tmp_path / "unet"))


@pytest.fixture
def sharded(unet: Path) -> Path:
    """The same in several files with an index."""
    UNet2DConditionModel.from_pretrained(unet).save_pretrained(unet, max_shard_size="100KB")
    (unet / WEIGHTS).unlink(missing_ok=True)
    assert len(list(unet.glob("*-of-*.safetensors"))) > 2
    return unet


def refused(folder: Path, kind: type = UNet2DConditionModel) -> CodiError:
    with pytest.raises(CodiError) as raised:
        parts.load_part(kind, folder)
    assert raised.value.code is ErrorCode.BAD_MODEL
    assert raised.value.hint or "expected" in raised.value.message
    return raised.value


def change(file: Path, edit: Callable[[Tensors], object]) -> None:
    tensors = load_file(file)
    edit(tensors)
    save_file(tensors, file)


def test_shards_and_one_file_hold_the_same(sharded: Path) -> None:
    whole = UNet2DConditionModel.from_pretrained(Path(tiny.recipe("epsilon").spec.model, "unet"))
    loaded = parts.load_part(UNet2DConditionModel, sharded).state_dict()
    assert all(tensor.equal(loaded[name]) for name, tensor in whole.state_dict().items())


def test_a_variant_is_read_where_it_is_all_there_is(unet: Path) -> None:
    (unet / WEIGHTS).rename(unet / "diffusion_pytorch_model.fp16.safetensors")
    assert parts.require_weights(unet) == "fp16"
    assert parts.load_part(UNet2DConditionModel, unet).dtype is torch.float32


def test_a_shard_that_is_not_there(sharded: Path) -> None:
    shard = sorted(sharded.glob("*-00002-of-*.safetensors"))[0]
    shard.rename(shard.with_suffix(".safetensors.incomplete"))
    assert f"lacks 1 of {len(list(sharded.glob('*-of-*')))} weight files: {shard.name}" in refused(sharded).message


def test_a_shard_that_was_cut_short(sharded: Path) -> None:
    shard = sorted(sharded.glob("*-00002-of-*.safetensors"))[0]
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-5])
    assert f"{shard} has {len(whole) - 5} bytes, its header says {len(whole)}" in refused(sharded).message


@pytest.mark.parametrize("bytes_left", [0, 5, 60])
def test_a_header_that_was_cut_short(bytes_left: int, unet: Path) -> None:
    (unet / WEIGHTS).write_bytes((unet / WEIGHTS).read_bytes()[:bytes_left])
    assert f"no safetensors file, or the first {bytes_left} bytes of one" in refused(unet).message


def test_a_git_lfs_pointer(unet: Path) -> None:
    (unet / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3438167534\n")
    error = refused(unet)
    assert "is a Git LFS pointer" in error.message
    assert error.hint == "git lfs pull"


def test_an_index_that_leaves_the_folder(sharded: Path) -> None:
    index = sharded / f"{WEIGHTS}.index.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": "../../secret.safetensors"}}))
    with pytest.raises(CodiError, match="leaves"):
        parts.load_part(UNet2DConditionModel, sharded)


def test_tensors_that_are_not_there_are_not_made_up(unet: Path) -> None:
    change(unet / WEIGHTS, lambda tensors: [tensors.pop(name) for name in ("conv_in.weight", "conv_in.bias")])
    assert f"{unet} lacks conv_in.bias, conv_in.weight" in refused(unet).message


def test_tensors_that_have_no_place(unet: Path) -> None:
    change(unet / WEIGHTS, lambda tensors: tensors.update({f"extra{k}": torch.zeros(1) for k in range(5)}))
    assert "no place for, extra0, extra1, extra2 and 2 more" in refused(unet).message


def test_a_tensor_of_another_shape(unet: Path) -> None:
    change(unet / WEIGHTS, lambda tensors: tensors.update({"conv_in.bias": torch.zeros(3)}))
    assert "conv_in.bias expected shape torch.Size([16]), but got torch.Size([3])" in refused(unet).message


def test_a_tensor_of_another_shape_in_a_text_encoder(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(Path(tiny.recipe("epsilon").spec.model, "text_encoder"), tmp_path / "text_encoder"))
    name = next(iter(sorted(load_file(folder / "model.safetensors"))))
    change(folder / "model.safetensors", lambda tensors: tensors.update({name: torch.zeros(3)}))
    assert "is [3], its config wants [" in refused(folder, CLIPTextModel).message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_a_number(value: float, unet: Path) -> None:
    def spoil(tensors: Tensors) -> None:
        tensors["conv_out.weight"].view(-1)[7] = value

    change(unet / WEIGHTS, spoil)
    assert f"{unet}: NaN or infinity in conv_out.weight" in refused(unet).message


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"time_cond_proj_dim": 8}, "a graph cannot express time_cond_proj_dim=8 (expected None)"),
        ({"addition_embed_type": "image"}, "addition_embed_type='image' (expected 'text_time')"),
        (
            {"class_embed_type": "timestep", "encoder_hid_dim": 4},
            "'timestep' (expected None), encoder_hid_dim=4",
        ),
        ({"shared_blocks": 2, "router": "top-1"}, "does not know shared_blocks=2, router='top-1'"),
        ({"_class_name": "UNetMotionModel"}, "is a UNetMotionModel; expected a UNet2DConditionModel"),
    ],
)
def test_what_a_config_asks_for_is_done_or_refused(setting: dict[str, object], says: str, unet: Path) -> None:
    file = unet / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **setting}))
    assert says in refused(unet).message


def test_a_setting_that_is_unknown_and_off(unet: Path) -> None:
    file = unet / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "next_years_option": None}))
    parts.load_part(UNet2DConditionModel, unet)


def test_a_config_that_is_no_config(unet: Path) -> None:
    (unet / "config.json").write_text("[1, 2")
    assert "is not a config" in refused(unet).message

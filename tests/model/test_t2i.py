"""T2I-Adapters: silent at first, at the right size for every U-Net, and built like any other adapter."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import T2IAdapter, UNet2DConditionModel

import codi_export
from codi_export.errors import CodiError
from codi_export.model import adapter as adapters
from codi_export.model import backbone as backbones
from codi_export.model import t2i
from codi_export.model.backbone import Backbone
from codi_export.model.denoiser import Denoiser
from codi_export.recipe import prepare
from codi_export.spec import AdapterSpec, BuildSpec
from tests import tiny

BLOCKS = {
    "attention first": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "attention last": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
}


def unet(down: tuple[str, ...]) -> UNet2DConditionModel:
    torch.manual_seed(0)
    up = tuple(name.replace("Down", "Up") for name in reversed(down))
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(8, 16, 24),
        down_block_types=down,
        up_block_types=up,
        layers_per_block=1,
        cross_attention_dim=tiny.TEXT_WIDTH,
        attention_head_dim=2,
        norm_num_groups=4,
    ).eval()


def denoiser(down: tuple[str, ...]) -> Denoiser:
    backbone = replace(tiny.recipe("v_prediction").backbone, unet=unet(down))
    return Denoiser(backbone.unet, t2i.new(backbone, seen=3), "v_prediction")


@pytest.mark.parametrize("down", BLOCKS.values(), ids=BLOCKS.keys())
def test_it_is_silent_until_it_is_trained_and_every_level_can_speak(down: tuple[str, ...]) -> None:
    one = denoiser(down)
    z, t, prompt = torch.randn(2, 4, 16, 16), torch.tensor(500), torch.randn(2, tiny.TOKENS, tiny.TEXT_WIDTH)
    condition = one.embed_condition(torch.rand(2, 3, 64, 64), prompt)
    bare = one.predict(z, t, prompt, None)
    torch.testing.assert_close(one.predict(z, t, prompt, condition), bare, rtol=0, atol=0)
    for level in range(3):
        loud = tuple(f + 0.5 * (k == level) for k, f in enumerate(condition))
        assert (one.predict(z, t, prompt, loud) - bare).abs().max() > 1e-4
    one.predict(z, t, prompt, one.embed_condition(torch.rand(2, 3, 64, 64), prompt)).square().mean().backward()
    assert one.adapter is not None and one.adapter.adapter.conv_in.weight.grad.any()


def test_for_stable_diffusions_shape_it_is_diffusers_own() -> None:
    """Same sizes, so that published T2I-Adapters mean the same here."""
    stock = T2IAdapter(in_channels=3, channels=[8, 16, 24], downscale_factor=4)
    image = torch.rand(1, 3, 64, 64)
    before = stock(image)
    fitted = t2i.fit(stock, unet(BLOCKS["attention first"]))(image)
    assert all(torch.equal(a, b) for a, b in zip(before, fitted, strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.backbone(tmp_path_factory.mktemp("t2i"), "v_prediction", "tiny", zero_snr=True)


def _loud(net: T2IAdapter) -> T2IAdapter:
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return net


def test_it_is_built_run_and_equal_to_torch(folder: Path) -> None:
    net = _loud(t2i.new(backbones.load(folder), seen=4))
    adapters.save(net, AdapterSpec("inpaint"), folder / "t2i")
    assert isinstance(T2IAdapter.from_pretrained(folder / "t2i"), T2IAdapter)
    manifest = codi_export.build("inpaint", 2, folder / "inpaint", model=str(folder), adapter=str(folder / "t2i"))
    assert manifest.graphs[0].parity.image_psnr_db > 60
    session = codi_export.load(folder / "inpaint")
    rng = np.random.default_rng(0)
    side = session.graph.outputs[0].shape[1]
    photo, other = rng.integers(0, 256, (2, side, side, 3), dtype=np.uint8)
    mask = np.zeros((side, side), np.uint8)
    mask[8:24, 8:24] = 255
    hole = np.s_[8:24, 8:24]
    assert not np.array_equal(session(photo, mask=mask)[hole], session(other, mask=mask)[hole])


def _misfit(folder: Path, backbone: Backbone, **change: object) -> T2IAdapter:
    shape = {"in_channels": 3, "channels": list(backbone.unet.config.block_out_channels), "downscale_factor": 4}
    return T2IAdapter(**{**shape, **change})


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"channels": [16, 48]}, "channels per level"),
        ({"downscale_factor": 8}, "condition pixels per latent pixel"),
        ({"in_channels": 1}, "condition channels"),
    ],
)
def test_a_misfit_is_named(folder: Path, tmp_path: Path, change: dict[str, object], fault: str) -> None:
    net = _misfit(folder, backbones.load(folder), **change)
    net.save_pretrained(tmp_path)
    with pytest.raises(CodiError, match=fault):
        prepare(BuildSpec("depth", (1,), model=str(folder), adapters=(str(tmp_path),)))


def test_another_kind_of_adapter_is_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"_class_name": "IPAdapter"}')
    with pytest.raises(CodiError, match="is a IPAdapter; expected one of ControlNetModel, T2IAdapter"):
        prepare(BuildSpec("depth", (1,), model=str(folder), adapters=(str(tmp_path),)))

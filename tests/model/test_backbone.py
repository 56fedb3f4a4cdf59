"""Folders in diffusers layout: what loads, and what is refused by name."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderTiny

from codi_export.errors import CodiError, ErrorCode
from codi_export.model import backbone as backbones
from codi_export.model.text import embed
from tests import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the toy, to be spoilt."""
    return Path(shutil.copytree(tiny.recipe("epsilon").spec.model, tmp_path / "model"))


def refused(folder: Path) -> str:
    with pytest.raises(CodiError) as raised:
        backbones.load(folder)
    assert raised.value.code is ErrorCode.BAD_MODEL
    return raised.value.message


@pytest.mark.parametrize("kind", ["kl", "tiny", "dc"])
@torch.no_grad()
def test_every_vae_class(kind: tiny.VaeKind, tmp_path: Path) -> None:
    one = backbones.load(tiny.backbone(tmp_path, vae=kind))
    assert (one.latent_factor, one.latent_channels, one.image_size, one.unet_factor) == (4, 4, 32, 2)
    latent = backbones.encode(one.vae, torch.rand(1, 3, 32, 32) * 2 - 1)
    assert latent.shape == (1, 4, 8, 8)
    assert backbones.decode(one.vae, latent).shape == (1, 3, 32, 32)


def test_latents_are_as_the_unet_sees_them() -> None:
    """Scaled and shifted by the VAE's own numbers."""
    vae = tiny.recipe("epsilon").backbone.vae
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    raw = vae.encode(image).latent_dist.mode()  # type: ignore[operator]
    torch.testing.assert_close(backbones.encode(vae, image), (raw - 0.1) * 0.7)


def test_everything_is_float32_and_frozen() -> None:
    one = tiny.recipe("v_prediction").backbone
    for module in (one.unet, one.vae):
        assert not module.training
        assert {(p.dtype, p.requires_grad) for p in module.parameters()} == {(torch.float32, False)}


def test_prompts_differ() -> None:
    folder = Path(tiny.recipe("epsilon").spec.model)
    embedding = embed(folder, ["a photo of the sea", "", "a photo of the sea " * 9]).words
    assert embedding.shape == (3, tiny.TOKENS, tiny.TEXT_WIDTH)
    assert not torch.equal(embedding[0], embedding[1])


def test_not_a_backbone(tmp_path: Path) -> None:
    assert "is not a backbone" in refused(tmp_path)


def test_a_missing_part(folder: Path) -> None:
    shutil.rmtree(folder / "unet")
    assert "unet has no config.json" in refused(folder)


def test_a_diffusion_transformer(folder: Path) -> None:
    (folder / "unet").rename(folder / "transformer")
    (folder / "transformer" / "config.json").write_text('{"_class_name": "PixArtTransformer2DModel"}')
    assert "is a diffusion transformer (PixArtTransformer2DModel), not a U-Net" in refused(folder)


def test_a_pickle(folder: Path) -> None:
    weights = folder / "unet/diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    assert "only diffusion_pytorch_model.bin, a pickle" in refused(folder)


def test_an_unknown_vae(folder: Path) -> None:
    change(folder / "vae/config.json", _class_name="VQModel")
    assert "VAE class 'VQModel'; expected one of AutoencoderKL" in refused(folder)


def test_an_unknown_prediction_type(folder: Path) -> None:
    change(folder / "scheduler/scheduler_config.json", prediction_type="flow_prediction")
    assert "cannot express prediction_type='flow_prediction'" in refused(folder)


def test_a_unet_that_wants_more_inputs(folder: Path) -> None:
    change(folder / "unet/config.json", time_cond_proj_dim=8)
    assert "time_cond_proj_dim=8" in refused(folder)


@pytest.mark.parametrize("key", ["beta_schedule", "beta_end"])
def test_noise_without_betas(key: str, folder: Path) -> None:
    file = folder / "scheduler/scheduler_config.json"
    config = {**json.loads(file.read_text()), "_class_name": "FlowMatchEulerDiscreteScheduler"}
    config.pop(key)
    file.write_text(json.dumps(config))
    assert "a FlowMatchEulerDiscreteScheduler has no betas" in refused(folder)


def test_schedules_that_are_not_read(folder: Path) -> None:
    change(folder / "scheduler/scheduler_config.json", beta_schedule="exponential", snr_shift_scale=3.0)
    assert "beta_schedule='exponential'" in refused(folder)
    assert "snr_shift_scale=3.0" in refused(folder)


def test_a_vae_of_another_family(folder: Path) -> None:
    """Its latents are not those that the U-Net reads."""
    AutoencoderTiny(
        latent_channels=8,
        encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8),
        num_encoder_blocks=(1, 1),
        num_decoder_blocks=(1, 1),
    ).save_pretrained(folder / "vae_tiny")
    with pytest.raises(CodiError, match=r"vae_tiny: a VAE with 8 latent channels; the U-Net reads 4"):
        backbones.load(folder, vae="tiny")


def test_a_vae_that_is_not_there(folder: Path) -> None:
    with pytest.raises(CodiError, match=r"there is no VAE in .*vae_tiny"):
        backbones.load(folder, vae="tiny")


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))

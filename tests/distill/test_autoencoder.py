from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC

from distill.autoencoder import AutoencoderConfig, AutoencoderJob, Code, new_autoencoder
from distill.config import DataConfig
from distill.data.tensors import to_pixels, to_signed
from distill.pca_start import start_from_pca
from tests.distill.conftest import picture

IMAGES = to_signed(np.stack([np.asarray(picture(seed, 64, 64)) for seed in range(12)]))


def _patches(images: torch.Tensor) -> torch.Tensor:
    return F.pixel_unshuffle(images, 4).movedim(1, -1).reshape(-1, 48).double()


def test_it_starts_as_the_best_linear_code() -> None:
    vae = new_autoencoder(AutoencoderConfig()).eval()
    with torch.no_grad():
        start_from_pca(vae, IMAGES)
        latent = vae.encode(IMAGES).latent
        rebuilt = vae.decode(latent).sample
    values = _patches(IMAGES)
    centred = values - values.mean(dim=0)
    _, _, basis = torch.linalg.svd(centred, full_matrices=False)
    best = (centred - centred @ basis[:8].T @ basis[:8]).square().mean()
    ours = (rebuilt - IMAGES).square().mean()
    assert ours < best + 1e-4  # the output norm is only nearly linear: 40 dB at peak 2 is 4e-4
    torch.testing.assert_close(latent.std(dim=(0, 2, 3)), torch.ones(8), atol=0.01, rtol=0)


def test_folding_the_normalisation_changes_nothing() -> None:
    code = Code(new_autoencoder(AutoencoderConfig(latent_channels=4)), 4).eval()
    code.mean.normal_()
    code.variance.uniform_(0.5, 2)
    with torch.no_grad():
        before = code.encode(IMAGES)
        after = code.folded().encode(IMAGES).latent
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


def test_a_job_trains_validates_and_saves_for_diffusers(pack: Path, tmp_path: Path) -> None:
    data = DataConfig(held_out_photos=2, held_out_scenes=2, crops=(32,))
    job = AutoencoderJob(AutoencoderConfig(), data, pack)
    batch = job.batch(np.random.default_rng(0), 4)
    loss, _ = job.loss(job.module, batch, torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss) and job.module.vae.encoder.conv_in.conv.weight.grad is not None
    scores = job.validate(job.module.eval(), tmp_path / "grid.png")
    assert scores["psnr_db"] > 30
    assert 0.9 < scores["latent_std_low"] <= scores["latent_std_high"] < 1.1 and scores["latent_mean"] < 0.1
    job.save(job.module, tmp_path / "vae")
    assert AutoencoderDC.from_pretrained(tmp_path / "vae").config.latent_channels == 8


def test_pixels_survive_the_way_to_floats_and_back() -> None:
    pixels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert np.array_equal(to_pixels(to_signed(pixels)[0]), pixels[0])
    assert to_signed(pixels).min() == pytest.approx(-1) and to_signed(pixels).max() == pytest.approx(1)

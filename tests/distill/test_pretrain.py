from pathlib import Path

import numpy as np
import torch

from codi_export.model import backbone, text
from distill.autoencoder import AutoencoderConfig, new_autoencoder
from distill.config import DataConfig
from distill.pretrain import BackboneConfig, BackboneJob
from distill.text import TextConfig


def test_a_job_trains_samples_and_saves_a_backbone_that_loads(pack: Path, tmp_path: Path) -> None:
    new_autoencoder(AutoencoderConfig(channels=(16, 32), encoder_blocks=(1, 1), decoder_blocks=(1, 1))).save_pretrained(
        tmp_path / "vae"
    )
    job = BackboneJob(
        BackboneConfig(channels=(16, 16, 32), groups=8, heads=2),
        TextConfig(width=16, layers=1, heads=2, length=8),
        DataConfig(held_out_photos=4, held_out_scenes=4, crops=(32,)),
        pack,
        tmp_path / "vae",
    )
    loss, parts = job.loss(job.module, job.batch(np.random.default_rng(0), 4), torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss) and set(parts) == {"clean_half", "noisy_half"}
    assert job.validate(job.module.eval(), tmp_path / "grid.png")["sample_std"] > 0
    job.save(job.module, tmp_path / "toy")

    loaded = backbone.load(tmp_path / "toy")
    assert (loaded.latent_factor, loaded.latent_channels, loaded.prediction_type) == (4, 8, "v_prediction")
    assert str(tmp_path) not in (tmp_path / "toy" / "vae" / "config.json").read_text()
    assert loaded.alphas[-1] == 0 and loaded.sigmas[-1] == 1  # zero terminal SNR
    assert text.embed(tmp_path / "toy", ["", "a scene 1"]).words.shape == (2, 8, 16)


def test_captions_are_dropped_as_often_as_configured(pack: Path, tmp_path: Path) -> None:
    new_autoencoder(AutoencoderConfig(channels=(16, 32))).save_pretrained(tmp_path / "vae")
    job = BackboneJob(
        BackboneConfig(channels=(16, 16, 32), groups=8, heads=2, drop_photo_caption=1.0, drop_scene_caption=0.0),
        TextConfig(width=16, layers=1, heads=2, length=8),
        DataConfig(held_out_photos=4, held_out_scenes=4, crops=(32,)),
        pack,
        tmp_path / "vae",
    )
    rng = np.random.default_rng(0)
    assert {job._caption(photo, rng) for photo in job.photos} == {""}
    assert "" not in {job._caption(scene, rng) for scene in job.scenes}

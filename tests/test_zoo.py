"""What ships with the package."""

import pytest
import torch
from PIL import Image

from codi_export import zoo
from codi_export.errors import CodiError, ErrorCode
from codi_export.model import backbone


def test_the_photo_is_a_photo() -> None:
    with Image.open(zoo.PHOTO) as photo:
        assert photo.size == (256, 256)
        assert photo.convert("RGB").entropy() > 6  # bits a pixel; a flat picture has none


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(CodiError, match="unknown model 'maxi'") as raised:
        zoo.folder("maxi")
    assert raised.value.code is ErrorCode.UNKNOWN_NAME


@pytest.mark.parametrize("model", zoo.names())
def test_every_model_names_its_tasks(model: str) -> None:
    for task in zoo.tasks(model):
        assert (zoo.adapter(model, task) / "codi_adapter.json").is_file()
    with pytest.raises(CodiError, match="has no adapter for task 'nothing'"):
        zoo.adapter(model, "nothing")


def test_the_last_timestep_shows_nothing_of_the_picture() -> None:
    """With plain SD betas a latent of few pixels leaks its mean colour there, in training and never in use."""
    scheduler = backbone.load_scheduler(zoo.folder("mini"))
    x, eps = torch.full((256, 8, 16, 16), 3.0), torch.randn(256, 8, 16, 16)
    assert torch.equal(scheduler.add_noise(x, eps, torch.full((256,), 999)), eps)

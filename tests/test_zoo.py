"""What ships with the package."""

import numpy as np
import pytest
import torch
from PIL import Image

from codi_export import recipe, zoo
from codi_export.errors import CodiError, ErrorCode
from codi_export.facts import WEIGHTS
from codi_export.model import backbone, fuse, text
from codi_export.spec import BuildSpec

ADAPTER_LIMIT = 4_000_000  # bytes
SIDE = 64


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


def test_mini_has_adapters() -> None:
    assert set(zoo.tasks("mini")) >= {"depth", "edit", "inpaint", "sr"}


@pytest.mark.parametrize("task", zoo.tasks("mini"))
def test_an_adapter_is_small_and_has_a_card(task: str) -> None:
    folder = zoo.adapter("mini", task)
    assert (folder / WEIGHTS).stat().st_size <= ADAPTER_LIMIT
    assert (folder / "README.md").read_text().startswith("---\nlicense: other\n---\n"), "a card, with a licence note"


@pytest.mark.parametrize("task", zoo.tasks("mini"))
def test_what_an_adapter_makes_follows_its_condition(task: str) -> None:
    """Of the same noise, two conditions make two pictures, and neither is flat."""
    made = recipe.prepare(BuildSpec(task, (2,), height=SIDE, width=SIDE))
    height, width = made.image_shape[1:3]
    with Image.open(zoo.PHOTO) as photo:
        one, other = (torch.tensor(np.asarray(photo.crop((left, 64, left + width, 64 + height)))) for left in (64, 128))
    noise = torch.randn(2, *made.noise_shape[1:], generator=torch.Generator().manual_seed(0))[:1].expand(2, -1, -1, -1)
    mask = torch.zeros(2, height, width, 1, dtype=torch.uint8)
    mask[:, : height // 2] = 255
    sampled = made.schedules[0], made.sampler, torch.stack([one, other]), noise
    _, picture, _ = fuse.run(made.pieces(), *sampled, mask if made.task.mask else None)
    assert picture.isfinite().all() and picture.shape == (2, 3, SIDE, SIDE)
    assert (picture[0] - picture[1]).square().mean() > 1e-3
    assert (picture.std(dim=(2, 3)) > 0.01).all()


def test_an_instruction_decides_what_edit_makes() -> None:
    """Of one photo and one noise, night is darker than day."""
    made = recipe.prepare(BuildSpec("edit", (1,), height=SIDE, width=SIDE))
    with Image.open(zoo.PHOTO) as photo:
        image = torch.tensor(np.asarray(photo.crop((64, 64, 64 + SIDE, 64 + SIDE))))[None].expand(2, -1, -1, -1)
    words = text.load_text(zoo.folder("mini"))
    prompts = words.embed(words.tokens(["turn day into night", "turn night into day"]))
    noise = torch.randn(1, *made.noise_shape[1:], generator=torch.Generator().manual_seed(0)).expand(2, -1, -1, -1)
    _, picture, _ = fuse.run(made.pieces(), made.schedules[0], made.sampler, image, noise, prompt_embeds=prompts)
    night, day = picture.mean(dim=(1, 2, 3))
    assert night < day - 0.2

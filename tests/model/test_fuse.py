"""The traced pieces, and the torch pipeline that drives them."""

import pytest
import torch

from codi_export import registry
from codi_export.model import backbone as backbones
from codi_export.model import fuse
from codi_export.model.resize import resize
from tests import tiny


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_the_condition_is_at_latent_size(kind: tiny.Kind) -> None:
    image, noise = tiny.inputs(kind)
    pieces = tiny.recipe(kind).pieces()
    condition, seen = pieces.condition(torch.from_numpy(image), pieces.prompt)
    assert condition.shape[2:] == noise.shape[2:]
    torch.testing.assert_close(seen, torch.from_numpy(image).permute(0, 3, 1, 2) / 255)


def test_unshuffled_pixels_lose_nothing() -> None:
    vae = tiny.recipe("v_prediction").backbone.vae
    large = torch.rand(1, 3, 32, 32)
    looked_at = fuse.condition_image("unshuffled", large, vae, tiny.FACTOR)
    assert torch.equal(torch.nn.functional.pixel_shuffle(looked_at[:, :48], tiny.FACTOR), large)
    assert torch.equal(looked_at[:, 48:], backbones.encode(vae, large * 2 - 1))


def test_factor_one_does_not_resize() -> None:
    image = torch.rand(1, 3, 8, 8)
    assert fuse.Enlarge(8, 8, 1)(image) is image


def test_back_projection_adds_what_is_missing() -> None:
    """y + w up(small - down(y)): nothing where down(y) is the photo already, most of it where y is flat."""
    decode = tiny.recipe("v_prediction").pieces().decode
    small = torch.rand(1, 3, 8, 8) * 2 - 1

    def down(picture: torch.Tensor) -> torch.Tensor:
        return resize(picture, decode.down_rows, decode.down_columns)

    def project(picture: torch.Tensor, target: torch.Tensor, weight: float) -> torch.Tensor:
        return fuse.back_project(picture, target, decode.enlarge, decode.down_rows, decode.down_columns, weight)

    picture = torch.rand(1, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(project(picture, down(picture), 1.0), picture, rtol=0, atol=0)
    flat = torch.zeros(1, 3, 32, 32)
    assert (
        down(project(flat, small, 1.0)) - small
    ).norm() < 0.5 * small.norm()  # noise is the hardest photo: up, then down, blurs it


def test_levels_are_rounded_to_the_nearest() -> None:
    """-1, 0 and 1 are levels 0, 128 (127.5 rounds up) and 255, and nothing leaves 0 to 255."""
    pieces = tiny.recipe("epsilon").pieces()
    noise = torch.from_numpy(tiny.inputs("epsilon")[1])
    levels, picture = pieces.decode(5 * noise, torch.zeros(1, 3, 8, 8))
    exact = (picture.permute(0, 2, 3, 1) + 1) * 127.5
    assert picture.abs().max() <= 1
    assert (levels.double() - exact).abs().max() <= 0.5 + 1e-4


@pytest.mark.parametrize("kind", tiny.KINDS)
def test_one_step_is_one_step_whatever_the_sampler(kind: tiny.Kind) -> None:
    recipe = tiny.recipe(kind)
    image, noise = map(torch.from_numpy, tiny.inputs(kind))
    results = [
        fuse.run(recipe.pieces(), recipe.schedules[0], registry.get("samplers", name), image, noise)
        for name in registry.names("samplers")
    ]
    assert torch.equal(results[0][1], results[1][1])
    assert len(results[0][2]) == 1


def test_a_picture_under_its_mask_is_not_looked_at_and_the_rest_comes_back() -> None:
    """Whatever lies under the mask, the output is the same; outside, it is the input, level by level."""
    decode = fuse.Decode(tiny.recipe("epsilon").backbone.vae, fuse.Enlarge(32, 32, 1), 0.0)
    image = torch.randint(0, 256, (1, 3, 32, 32)).float() / 255
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., 8:24, 4:20] = 1
    scribbled = torch.where(mask > 0, 1 - image, image)
    looked_at = [fuse.condition_image("pixels", torch.cat([i, mask], 1), decode.vae, 4) for i in (image, scribbled)]
    assert torch.equal(*looked_at) and (looked_at[0][:, :3][mask.expand_as(image) > 0] == 0.5).all()

    levels, _ = decode(torch.randn(1, 4, 8, 8), torch.cat([image, mask], dim=1))
    outside = (mask == 0)[0, 0]
    wanted = (image * 255).round().to(torch.uint8)[0].permute(1, 2, 0)
    assert torch.equal(levels[0][outside], wanted[outside])
    assert not torch.equal(levels[0][~outside], wanted[~outside])

"""Sums of adapters, against diffusers' own."""

import functools

import pytest
import torch
from diffusers import ControlNetModel, T2IAdapter

from codi_export.model import adapter as adapters
from codi_export.model import t2i
from codi_export.model.denoiser import Denoiser
from codi_export.model.steering import Net, Steering
from tests import tiny

Z, PROMPT, IMAGE = torch.randn(2, 4, 8, 8), torch.randn(2, tiny.TOKENS, tiny.TEXT_WIDTH), torch.rand(2, 3, 32, 32)
T, ALPHA, SIGMA = torch.tensor(499), torch.tensor(0.6), torch.tensor(0.8)


@functools.cache
def nets() -> tuple[ControlNetModel, ControlNetModel, T2IAdapter]:
    backbone = tiny.recipe("epsilon").backbone
    torch.manual_seed(3)
    other = tiny.awake(adapters.new(backbone, "pixels", width=16).eval())
    features = tiny.awake(t2i.new(backbone, seen=3).eval())
    assert isinstance(other, ControlNetModel) and isinstance(features, T2IAdapter)
    first = tiny.recipe("epsilon").adapters[0].net
    assert isinstance(first, ControlNetModel)
    return first, other, features


def summed(scales: tuple[float, ...], *chosen: Net) -> Denoiser:
    first, *others = chosen
    return Denoiser(tiny.recipe("epsilon").backbone.unet, first, "epsilon", others, scales)


@torch.no_grad()
def test_a_sum_is_what_diffusers_adds_up() -> None:
    """By its own `conditioning_scale`, and its own way of taking both kinds at once."""
    unet, (first, other, features) = tiny.recipe("epsilon").backbone.unet, nets()
    one = summed((0.7, -0.5, 1.5), first, other, features)
    given = {"controlnet_cond": IMAGE, "return_dict": False}
    (down, mid), (down2, mid2) = (
        net(Z, T, PROMPT, conditioning_scale=s, **given) for net, s in ((first, 0.7), (other, -0.5))
    )
    want = unet(
        Z,
        T,
        PROMPT,
        down_block_additional_residuals=[a + b for a, b in zip(down, down2, strict=True)],
        mid_block_additional_residual=mid + mid2,
        down_intrablock_additional_residuals=[1.5 * part for part in features(IMAGE)],
    ).sample
    found = one.predict(Z, T, PROMPT, one.embed_condition(IMAGE, PROMPT))
    torch.testing.assert_close(found, want, rtol=1e-4, atol=1e-4)  # sums in another order, through a U-Net
    alone = summed((1.0,), first)
    assert not torch.allclose(found, alone.predict(Z, T, PROMPT, alone.embed_condition(IMAGE, PROMPT)), atol=1e-2)


@torch.no_grad()
def test_a_call_scales_all_of_it() -> None:
    """At 0 the backbone answers, at 1 nothing changes, and a trunk's share is scaled too."""
    net = tiny.awake(adapters.new(tiny.recipe("epsilon").backbone, "unshuffled", width=16, trunk=1).eval())
    one, bare = summed((1.0,), net), Denoiser(tiny.recipe("epsilon").backbone.unet, None, "epsilon")
    condition = one.embed_condition(torch.rand(2, 52, 8, 8), PROMPT)
    at = {scale: one.x_eps(Z, T, ALPHA, SIGMA, PROMPT, condition, torch.tensor(scale))[0] for scale in (0.0, 0.5, 1.0)}
    torch.testing.assert_close(at[0.0], bare.x_eps(Z, T, ALPHA, SIGMA, PROMPT, None)[0], rtol=0, atol=0)
    torch.testing.assert_close(at[1.0], one.x_eps(Z, T, ALPHA, SIGMA, PROMPT, condition)[0], rtol=0, atol=0)
    halved = summed((0.5,), net)
    torch.testing.assert_close(at[0.5], halved(Z, T, ALPHA, SIGMA, PROMPT, *condition), rtol=0, atol=1e-6)
    assert not torch.allclose(at[0.5], at[1.0], atol=1e-3)


def test_steering_adds_up_by_part() -> None:
    a, b = torch.ones(1), torch.full((1,), 2.0)
    total = Steering((a,), (a,)) * 3.0 + Steering(features=(b,)) + Steering((b,), (b,), direct=(b,))
    assert [tuple(map(float, part)) for part in total] == [(5.0,), (5.0,), (2.0,), (2.0,)]
    assert Steering().arguments == {}


@pytest.mark.parametrize("scale", [1.0, torch.tensor(1.0)])
def test_one_scaled_by_one_is_the_same(scale: float | torch.Tensor) -> None:
    one = Steering((torch.randn(3),))
    assert torch.equal((one * scale).skips[0], one.skips[0])

"""Backbone and adapter as one denoiser (codi-method 7.3, 2, 6, 9)."""

import copy

import pytest
import torch
from diffusers import UNet2DConditionModel

from codi_export.model import adapter as adapters
from codi_export.model import denoiser as denoisers
from codi_export.model import lora, steering
from codi_export.model.denoiser import Denoiser
from tests import tiny

Z, PROMPT = torch.randn(2, 4, 8, 8), torch.randn(2, tiny.TOKENS, tiny.TEXT_WIDTH)
T, ALPHA, SIGMA = torch.tensor(499), torch.tensor(0.6), torch.tensor(0.8)


def unet() -> UNet2DConditionModel:
    return tiny.recipe("epsilon").backbone.unet


def trunked() -> Denoiser:
    net = adapters.new(tiny.recipe("epsilon").backbone, "unshuffled", width=16, trunk=2).eval()
    return Denoiser(unet(), net, "epsilon")


def own(beside: str) -> UNet2DConditionModel:
    """The U-Net as it is trained beside an adapter: not at all, by low-rank changes, or whole."""
    if beside == "frozen":
        return unet()
    copied = copy.deepcopy(unet())
    return lora.add(copied, rank=2) if beside == "lora" else copied.requires_grad_(True).train()


@torch.no_grad()
@pytest.mark.parametrize("beside", ["frozen", "lora", "full"])
@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize(
    ("kind", "trunk", "reads"),
    [("pixels", 0, False), ("unshuffled", 0, False), ("unshuffled", 2, False), ("unshuffled", 2, True)],
)
def test_a_new_adapter_changes_nothing(kind: str, trunk: int, reads: bool, attention: bool, beside: str) -> None:
    """Bit for bit: zero convolutions add zeros, to every skip and to the middle."""
    shape = {"width": 16, "trunk": trunk, "attention": attention, "reads": reads}
    net = adapters.new(tiny.recipe("epsilon").backbone, kind, **shape).train()  # type: ignore[arg-type]
    one, bare = Denoiser(own(beside), net, "epsilon"), Denoiser(unet(), None, "epsilon")
    size = (2, 3, 32, 32) if kind == "pixels" else (2, net.config.conditioning_channels, 8, 8)
    condition = one.embed_condition(torch.rand(size), PROMPT)
    steered = steering.steer(net, Z, T, PROMPT, condition)
    assert len(steered.skips) == 4 and not any(residual.any() for residual in (*steered.skips, *steered.middle))
    torch.testing.assert_close(one.predict(Z, T, PROMPT, condition), unet()(Z, T, PROMPT).sample, rtol=0, atol=0)
    silent = one.x_eps(Z, T, ALPHA, SIGMA, PROMPT, condition)
    torch.testing.assert_close(silent, bare.x_eps(Z, T, ALPHA, SIGMA, PROMPT, None), rtol=0, atol=0)


@torch.no_grad()
def test_a_trunk_moves_the_estimate_but_still_explains_z() -> None:
    one = trunked()
    trunk = one.adapter.controlnet_cond_embedding  # type: ignore[union-attr]
    silent = one.embed_condition(torch.rand(2, 52, 8, 8), PROMPT)
    assert silent[0].shape == (2, 16 + 4, 8, 8)
    trunk.conv_out.bias.data[16:] = torch.arange(1.0, 5.0)
    moved = one.embed_condition(torch.rand(2, 52, 8, 8), PROMPT)
    x, eps = one.x_eps(Z, T, ALPHA, SIGMA, PROMPT, moved)
    direct = torch.arange(1.0, 5.0)[None, :, None, None].expand_as(Z)
    before, _ = one.x_eps(Z, T, ALPHA, SIGMA, PROMPT, silent)
    torch.testing.assert_close(x - before, SIGMA * direct, rtol=0, atol=1e-5)
    torch.testing.assert_close(ALPHA * x + SIGMA * eps, Z, rtol=0, atol=1e-5)


def test_a_trunk_that_reads_tells_words_apart() -> None:
    """Where its place and the prompt say so; a gradient reaches it from the first step on."""
    net = adapters.new(tiny.recipe("epsilon").backbone, "unshuffled", width=16, trunk=1, reads=True)
    one, image = Denoiser(unet(), net, "epsilon"), torch.rand(2, 52, 8, 8)
    trunk = net.controlnet_cond_embedding
    torch.nn.init.normal_(trunk.conv_out.weight)
    assert torch.equal(*(one.embed_condition(image, words)[0] for words in (PROMPT, -PROMPT)))
    one.embed_condition(image, PROMPT)[0].square().mean().backward()
    assert trunk.readers[0].out.weight.grad.any()
    torch.nn.init.normal_(trunk.readers[0].out.weight)
    with torch.no_grad():
        here, there = (one.embed_condition(image, words)[0] for words in (PROMPT, -PROMPT))
    assert (here - there).abs().max() > 1e-2
    assert (here - there).std(dim=(2, 3)).max() > 1e-3  # not the same everywhere


@torch.no_grad()
def test_without_an_adapter_a_condition_is_not_seen() -> None:
    bare, image = Denoiser(unet(), None, "epsilon"), torch.rand(2, 3, 32, 32)
    seen = bare.embed_condition(image, PROMPT)
    assert seen == ()
    for mine, alone in zip(*(bare.x_eps(Z, T, ALPHA, SIGMA, PROMPT, c) for c in (seen, None)), strict=True):
        assert torch.equal(mine, alone)


@torch.no_grad()
def test_an_adapter_that_speaks_is_heard() -> None:
    one = Denoiser(unet(), tiny.recipe("epsilon").adapters[0].net, "epsilon")
    condition = one.embed_condition(torch.rand(2, 3, 32, 32), PROMPT)
    assert not torch.equal(one.predict(Z, T, PROMPT, condition), one.predict(Z, T, PROMPT, None))


@torch.no_grad()
def test_the_condition_is_embedded_as_controlnet_does_it() -> None:
    net, image = tiny.recipe("epsilon").adapters[0].net, torch.rand(2, 3, 32, 32)
    down, mid = net(Z, T, PROMPT, controlnet_cond=image, return_dict=False)
    want = unet()(Z, T, PROMPT, down_block_additional_residuals=down, mid_block_additional_residual=mid).sample
    one = Denoiser(unet(), net, "epsilon")
    torch.testing.assert_close(one.predict(Z, T, PROMPT, one.embed_condition(image, PROMPT)), want, rtol=0, atol=0)
    assert net.controlnet_cond_embedding(image).shape == (2, 16, 8, 8), "the adapter is left as it was"


@torch.no_grad()
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_x_and_eps_explain_z(kind: str) -> None:
    one = Denoiser(unet(), None, kind)  # type: ignore[arg-type]
    x, eps = one.x_eps(Z, T, ALPHA, SIGMA, PROMPT, None)
    torch.testing.assert_close(
        ALPHA * x + SIGMA * eps, Z, rtol=0, atol=1e-5
    )  # a few float32 roundings of values near 3


@torch.no_grad()
def test_guidance_commutes_with_conversion() -> None:
    one, w = Denoiser(unet(), None, "v_prediction"), torch.tensor(3.0)
    outputs = [one.predict(Z, T, prompt, None) for prompt in (PROMPT, torch.zeros_like(PROMPT))]
    converted = [denoisers.prediction.to_x("v_prediction", output, Z, ALPHA, SIGMA) for output in outputs]
    first = denoisers.prediction.to_x("v_prediction", denoisers.guided(outputs[0], outputs[1], w), Z, ALPHA, SIGMA)
    torch.testing.assert_close(first, denoisers.guided(converted[0], converted[1], w), rtol=0, atol=1e-5)


def test_guidance_of_one_is_the_conditional_half() -> None:
    cond, uncond = torch.randn(3), torch.randn(3)
    torch.testing.assert_close(denoisers.guided(cond, uncond, torch.tensor(1.0)), cond, rtol=0, atol=1e-6)


def test_the_clean_end_of_the_tables() -> None:
    alphas, sigmas = denoisers.tables(tiny.recipe("epsilon").backbone.alphas, tiny.recipe("epsilon").backbone.sigmas)
    assert (float(alphas[-1]), float(sigmas[-1])) == (1.0, 0.0)
    entry = denoisers.as_coefficient(alphas, torch.tensor([-1, 0]), Z)
    assert entry.shape == (2, 1, 1, 1)
    assert entry.dtype == Z.dtype

"""One micro-batch: who is asked what, and where gradients go."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from codi_export.model import adapter, backbone
from codi_export.model.denoiser import Denoiser, tables
from distill import distances
from distill.ema import Ema
from distill.step import (
    CodiConfig,
    Draw,
    Models,
    Sample,
    Tables,
    advice,
    codi_loss,
    draw,
    estimate,
    ode_estimate,
    target_estimate,
)
from tests.distill import stubs
from tests.distill.stubs import Stub, drawn, gaussian


@pytest.mark.parametrize("shared", [False, True])
def test_timesteps_lie_on_the_trailing_grid(shared: bool) -> None:
    config = CodiConfig(same_t_per_batch=shared)
    rng = torch.Generator().manual_seed(0)
    drawn = [draw(torch.zeros(25, 1, 1, 1), config, rng) for _ in range(600)]
    assert set(torch.cat([one.t for one in drawn]).tolist()) == set(range(19, 1000, 20))
    assert all(torch.equal(one.t - one.s, torch.full_like(one.t, 20)) for one in drawn)
    assert all((len(one.t.unique()) == 1) is shared for one in drawn)


def test_a_bias_favours_the_noisy_end() -> None:
    """Density 2k / L^2: the upper half of the grid gets three quarters, and every point some."""
    config, rng = CodiConfig(noise_bias=2.0), torch.Generator().manual_seed(0)
    ts = draw(torch.zeros(100_000, 1, 1, 1), config, rng).t
    assert set(ts.tolist()) == set(range(19, 1000, 20))
    assert (ts > 499).float().mean().item() == pytest.approx(0.75, abs=1e-3)


def _parts(toy_backbone: Path, full: bool = False) -> tuple[backbone.Backbone, Models, Tables]:
    loaded = backbone.load(toy_backbone)
    module = nn.ModuleDict({"net": adapter.new(loaded, "unshuffled", 16, trunk=1)})
    if full:
        module["unet"] = copy.deepcopy(loaded.unet).requires_grad_(True)
    target = Ema(module, lambda _: 0.9).average
    student, follower = (
        Denoiser(part["unet"] if full else loaded.unet, part["net"], loaded.prediction_type)  # type: ignore[arg-type]
        for part in (module, target)
    )
    models = Models(student, follower, Denoiser(loaded.unet, None, loaded.prediction_type), distances.latent)
    return loaded, models, Tables(*tables(loaded.alphas, loaded.sigmas))


def _sample(loaded: backbone.Backbone, batch: int = 6) -> Sample:
    rng = torch.Generator().manual_seed(3)
    x = torch.randn(batch, loaded.latent_channels, 8, 8, generator=rng)
    width = loaded.unet.config.cross_attention_dim
    condition = torch.rand(batch, 3 * loaded.latent_factor**2 + loaded.latent_channels, 8, 8, generator=rng)
    prompt, empty = torch.randn(2, batch, 6, width, generator=rng)
    picture = torch.rand(batch, 3, 32, 32, generator=rng) * 2 - 1
    return Sample(x, picture, condition, prompt, empty)


def _drawn(sample: Sample, config: CodiConfig) -> tuple[Sample, Draw]:
    return sample, draw(sample.x, config, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("predictor", ["prev", "ddim"])
@pytest.mark.parametrize("space", ["eps", "x"])
@pytest.mark.parametrize("ode", ["online", "ema", "teacher"])
def test_the_gradient_reaches_what_is_trained_and_nothing_else(
    toy_backbone: Path, full: bool, predictor: str, space: str, ode: str
) -> None:
    """The adapter's comes through the U-Net: only its zero convolutions have one at first."""
    loaded, models, table = _parts(toy_backbone, full)
    config = CodiConfig(predictor=predictor, loss_space=space, ode_model=ode)  # type: ignore[arg-type]
    loss, parts = codi_loss(models, table, *_drawn(_sample(loaded), config), config)
    loss.backward()
    assert torch.isfinite(loss) and all(value == value for name, value in parts.items() if "_" not in name)
    net, unet = models.student.adapter, models.student.unet
    assert net is not None and models.target.adapter is not None
    silent = [p for name, p in net.named_parameters() if name.startswith("controlnet_down_blocks")]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in silent)
    assert not any(p.grad is not None and p.grad.any() for p in net.parameters() if p.any())
    if full:
        assert all(p.grad is not None for p in unet.parameters())
    frozen = [loaded.unet, loaded.vae, models.target.adapter, models.target.unet]
    assert all(p.grad is None for module in frozen for p in module.parameters())


def test_who_is_asked_for_the_next_latent(toy_backbone: Path) -> None:
    """A teacher sees neither adapter nor condition, so what it says does not change while the adapter learns."""
    loaded, models, _ = _parts(toy_backbone)
    sample = _sample(loaded)
    z, t = sample.x, torch.full((6,), 499)
    at = torch.tensor(0.6), torch.tensor(0.8)
    assert models.student.adapter is not None
    for p in models.student.adapter.parameters():
        nn.init.normal_(p, std=0.1)
    with torch.no_grad():
        online = estimate(models.student, z, t, at, sample)
        asked = {
            ode: ode_estimate(models, z, t, at, sample, online, CodiConfig(ode_model=ode))  # type: ignore[arg-type]
            for ode in ("online", "ema", "teacher")
        }
        bare = models.teacher.x_eps(z, t, *at, sample.prompt, None)
    assert asked["online"] is online
    assert torch.equal(asked["teacher"][0], bare[0])
    torch.testing.assert_close(asked["ema"][0], bare[0])  # the average of an untrained adapter is silent
    assert not torch.allclose(online[0], bare[0])


def test_guidance_leads_away_from_the_empty_prompt(toy_backbone: Path) -> None:
    """u + w (c - u), in this order: at w = 2 the estimate lies as far beyond c as u lies before it."""
    loaded, models, _ = _parts(toy_backbone)
    sample = _sample(loaded)
    z, s = sample.x, torch.full((6,), 479)
    at = torch.tensor(0.6), torch.tensor(0.8)
    with torch.no_grad():
        plain, doubled = (target_estimate(models.target, z, s, at, sample, torch.full((6,), w)) for w in (1.0, 2.0))
        empty = replace(sample, prompt=sample.empty)
        unprompted = estimate(models.target, z, s, at, empty)
    for c, u, w2 in zip(plain, unprompted, doubled, strict=True):
        assert (c - u).abs().max() > 1e-3
        torch.testing.assert_close(w2, 2 * c - u)


@pytest.mark.parametrize("distance", ["latent", "pixel"])
def test_the_guidance_term_may_be_measured_elsewhere(toy_backbone: Path, distance: str) -> None:
    loaded, models, table = _parts(toy_backbone)
    sample = _sample(loaded)
    models = replace(models, distance=distances.make(distance, loaded.vae))
    loss, _ = codi_loss(models, table, *_drawn(sample, CodiConfig()), CodiConfig())
    loss.backward()
    wanted = loaded.vae.decode(sample.x).sample - sample.picture if distance == "pixel" else sample.x - sample.x
    measured = models.distance(sample.x, sample)
    torch.testing.assert_close(measured, wanted.square().mean(dim=(1, 2, 3)))


def test_what_is_known_to_diverge_is_said() -> None:
    own_error = CodiConfig(predictor="prev", loss_space="x", weight=0.3)
    assert "tends to diverge" in (advice(own_error) or "")
    calm: list[dict[str, Any]] = [
        {"weight": 1.0},
        {"ode_model": "teacher"},
        {"predictor": "ddim"},
        {"loss_space": "eps"},
    ]
    assert not any(advice(replace(own_error, **change)) for change in calm)


TABLES = stubs.schedule()


@pytest.mark.parametrize("predictor", ["prev", "ddim"])
@pytest.mark.parametrize("space", ["eps", "x"])
def test_a_denoiser_that_knows_the_data_has_no_loss(predictor: str, space: str) -> None:
    x = torch.randn(50, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    config = CodiConfig(predictor=predictor, loss_space=space, weight=1.0)  # type: ignore[arg-type]
    oracle = Stub(lambda *_: x)
    loss, _ = codi_loss(stubs.models(oracle, oracle, oracle), TABLES, *_drawn(stubs.sample(x), config), config)
    assert loss.item() < 1e-9  # float32 rounding of (z - alpha x) / sigma


@given(
    now=st.sampled_from(range(39, 1000, 20)),
    predictor=st.sampled_from(["prev", "ddim"]),
    moved=st.sampled_from(["online", "ema", "teacher"]),
    ode=st.sampled_from(["online", "ema", "teacher"]),
    shift=st.floats(-2, 2),
)
def test_the_next_latent_follows_whom_the_settings_name_as_it_is_now(
    now: int, predictor: str, moved: str, ode: str, shift: float
) -> None:
    """A copy from the start of training, in place of the live model, would leave z_s where it was."""
    x = torch.randn(2, 1, 2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    config = CodiConfig(predictor=predictor, ode_model=ode)  # type: ignore[arg-type]
    who = {name: Stub(gaussian(0.5)) for name in ("online", "ema", "teacher")}
    models, drawing = stubs.models(*who.values()), drawn(x, [now, now])
    latents = []
    for _ in range(2):
        codi_loss(models, TABLES, stubs.sample(x), drawing, config)
        latents.append(who["ema"].asked[-1][0])
        who[moved].shift.data.fill_(shift)
    (alpha_t, sigma_t), (alpha_s, sigma_s) = (TABLES.at(torch.tensor(at), x) for at in (now, now - 20))
    passed_on = alpha_s if predictor == "prev" else alpha_s - sigma_s * alpha_t / sigma_t
    wanted = passed_on * shift if moved == ode else 0.0
    torch.testing.assert_close(latents[1] - latents[0], torch.full_like(x, float(wanted)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("width", [5, 3])
def test_every_sample_is_guided_at_its_own_scale(width: int) -> None:
    """A batch as wide as it is large (5) would hide it if the scales [B] were of columns."""

    class Reader(Stub):
        def x_eps(self, z: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor, prompt: Tensor, _: Any) -> Any:
            return prompt, -prompt

    cond, empty = torch.randn(2, 5, 1, 2, width, generator=torch.Generator().manual_seed(0))
    sample, scale = Sample(cond, cond, cond, cond, empty), torch.arange(5.0)
    at = torch.tensor(0.6), torch.tensor(0.8)
    x, eps = target_estimate(Reader(gaussian(1.0)), cond, torch.zeros(5), at, sample, scale)
    for index, w in enumerate(scale.tolist()):
        torch.testing.assert_close(x[index], empty[index] + w * (cond[index] - empty[index]))
        torch.testing.assert_close(eps[index], -x[index])


@pytest.mark.parametrize("space", ["eps", "x"])
def test_at_the_clean_end_the_target_is_the_data(space: str) -> None:
    """With lambda = 0 and s = -1 the loss is the distance to x, not zero: the boundary condition. In eps too: where
    sigma is 0 the noise in z_s has no meaning."""
    config = CodiConfig(weight=0.0, loss_space=space)  # type: ignore[arg-type]
    x = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    models = stubs.models(Stub(lambda *_: x + 0.5), Stub(lambda *_: x - 0.7), Stub(gaussian(1.0)))
    loss, parts = codi_loss(models, TABLES, stubs.sample(x), drawn(x, [19] * 5), config)
    assert loss.item() == pytest.approx(0.25) == parts["guidance"].item()


@given(now=st.sampled_from(range(39, 1000, 20)))
def test_elsewhere_the_target_is_the_bare_estimate(now: int) -> None:
    """Down to s = 19 nothing is mixed into it: a boundary-scaled eps would end as z_s itself."""
    x = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    drawing, at_t, at_s = drawn(x, [now] * 2), *(TABLES.at(torch.tensor(at), x) for at in (now, now - 20))
    models = stubs.models(Stub(lambda *_: x + 0.5), Stub(lambda *_: x - 0.7), Stub(gaussian(1.0)))
    for space in ("eps", "x"):
        config = CodiConfig(weight=0.0, loss_space=space)  # type: ignore[arg-type]
        loss, _ = codi_loss(models, TABLES, stubs.sample(x), drawing, config)
        # z_s = alpha_s (x + .5) + sigma_s eps: eps_s = eps + 1.2 alpha_s / sigma_s, eps_t = eps - .5 alpha_t / sigma_t
        in_eps = 1.2 * at_s[0] / at_s[1] + 0.5 * at_t[0] / at_t[1]
        assert loss.item() == pytest.approx(float(in_eps if space == "eps" else torch.tensor(1.2)) ** 2, rel=1e-5)

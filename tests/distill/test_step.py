from pathlib import Path

import pytest
import torch
from torch import Tensor

from codi_export.model import adapter, backbone
from codi_export.model.denoiser import Denoiser, tables
from distill.ema import Ema
from distill.step import CodiConfig, Tables, codi_loss, draw_timesteps


@pytest.mark.parametrize("shared", [False, True])
def test_timesteps_lie_on_the_trailing_grid(shared: bool) -> None:
    config = CodiConfig(same_t_per_batch=shared)
    rng = torch.Generator().manual_seed(0)
    drawn = [draw_timesteps(25, config, rng) for _ in range(600)]
    ts = torch.cat([t for t, _ in drawn])
    assert set(ts.tolist()) == set(range(19, 1000, 20))
    assert all(torch.equal(t - s, torch.full_like(t, 20)) for t, s in drawn)
    assert all((len(t.unique()) == 1) is shared for t, _ in drawn)


def _parts(toy_backbone: Path) -> tuple[backbone.Backbone, Denoiser, Denoiser, Tables]:
    loaded = backbone.load(toy_backbone)
    net = adapter.new(loaded, "unshuffled", 16)
    target = Ema(net, lambda _: 0.9).average
    student, follower = (Denoiser(loaded.unet, part, loaded.prediction_type) for part in (net, target))
    return loaded, student, follower, Tables(*tables(loaded.alphas, loaded.sigmas))


def _inputs(loaded: backbone.Backbone, batch: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(3)
    x = torch.randn(batch, loaded.latent_channels, 8, 8, generator=rng)
    width = loaded.unet.config.cross_attention_dim
    condition = torch.rand(batch, 3 * loaded.latent_factor**2 + loaded.latent_channels, 8, 8, generator=rng)
    return x, torch.randn(batch, 6, width, generator=rng), condition


@pytest.mark.parametrize("predictor", ["prev", "ddim"])
@pytest.mark.parametrize("space", ["eps", "x"])
def test_the_gradient_reaches_the_adapter_through_the_backbone_and_nothing_else(
    toy_backbone: Path, predictor: str, space: str
) -> None:
    loaded, student, target, table = _parts(toy_backbone)
    config = CodiConfig(predictor=predictor, loss_space=space)  # type: ignore[arg-type]
    loss, parts = codi_loss(student, target, table, *_inputs(loaded), config, torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss) and all(value == value for name, value in parts.items() if "_" not in name)
    zero_convolutions = [
        p for name, p in student.adapter.named_parameters() if name.startswith("controlnet_down_blocks")
    ]  # type: ignore[union-attr]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in zero_convolutions)
    assert all(
        p.grad is None for p in [*loaded.unet.parameters(), *loaded.vae.parameters(), *target.adapter.parameters()]
    )  # type: ignore[union-attr]


def test_an_untrained_adapter_changes_nothing(toy_backbone: Path) -> None:
    loaded, student, _, _ = _parts(toy_backbone)
    x, prompt, condition = _inputs(loaded)
    t = torch.full((len(x),), 499)
    adapted = student.predict(x, t, prompt, student.embed_condition(condition))
    assert torch.equal(adapted, loaded.unet(x, t, prompt, return_dict=False)[0])


class _Oracle(Denoiser):
    """Knows the data: its estimates are exact wherever it is asked."""

    def __init__(self, x: Tensor) -> None:
        torch.nn.Module.__init__(self)
        self.x = x

    def embed_condition(self, condition: Tensor) -> Tensor:
        return condition

    def x_eps(
        self, z: Tensor, t: Tensor, alpha: Tensor, sigma: Tensor, prompt: Tensor, condition: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        return self.x, (z - alpha * self.x) / sigma.clamp(min=1e-6)


@pytest.mark.parametrize("predictor", ["prev", "ddim"])
@pytest.mark.parametrize("space", ["eps", "x"])
def test_a_denoiser_that_knows_the_data_has_no_loss(toy_backbone: Path, predictor: str, space: str) -> None:
    loaded, _, _, table = _parts(toy_backbone)
    x, prompt, condition = _inputs(loaded, batch=50)
    oracle = _Oracle(x)
    config = CodiConfig(predictor=predictor, loss_space=space, weight=1.0)  # type: ignore[arg-type]
    loss, _ = codi_loss(oracle, oracle, table, x, prompt, condition, config, torch.Generator().manual_seed(0))
    assert loss.item() < 1e-9  # float32 rounding of (z - alpha x) / sigma


def test_at_the_clean_end_the_target_is_the_data(toy_backbone: Path) -> None:
    """With lambda = 0 and s = -1 the loss is the distance to x, not zero: the boundary condition."""
    loaded, student, target, table = _parts(toy_backbone)
    config = CodiConfig(L=1, weight=0.0, loss_space="x")  # only k = 1: t = 19, s = -1
    loss, parts = codi_loss(student, target, table, *_inputs(loaded), config, torch.Generator().manual_seed(0))
    assert parts["consistency"].item() == pytest.approx(parts["guidance"].item())
    assert loss.item() == pytest.approx(parts["guidance"].item()) and loss.item() > 0

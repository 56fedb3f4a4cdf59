"""What the guidance term measures with."""

from pathlib import Path

import pytest
import torch

from codi_export.model import backbone
from distill import distances
from distill.step import Sample


@pytest.mark.parametrize("name", ["latent", "weighted", "pixel", "perceptual"])
def test_the_data_has_no_distance_to_itself_and_a_gradient_leads_back(toy_backbone: Path, name: str) -> None:
    loaded = backbone.load(toy_backbone)
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, loaded.latent_channels, 16, 16, generator=rng)
    none = torch.zeros(0)
    sample = Sample(x, backbone.decode(loaded.vae, x), none, none, none)
    measure = distances.make(name, loaded.vae)
    assert measure(x, sample).tolist() == pytest.approx([0, 0], abs=1e-9)
    near = (x + 0.3 * torch.randn(x.shape, generator=rng)).requires_grad_(True)
    before = measure(near, sample)
    assert before.shape == (2,) and (before > 0).all()
    before.sum().backward()
    assert near.grad is not None
    step = near - 1e-2 * near.grad / near.grad.norm()
    assert (measure(step.detach(), sample).sum() < before.sum()).item()


def test_an_unknown_distance_is_a_mistake_of_ours(toy_backbone: Path) -> None:
    with pytest.raises(ValueError, match="unknown distance 'far'"):
        distances.make("far", backbone.load(toy_backbone).vae)


def test_weighted_errors_follow_the_pictures(toy_backbone: Path) -> None:
    """Weights average to 1, and a channel costs in proportion to what it does to pixels."""
    vae = backbone.load(toy_backbone).vae
    weights = distances.Weighted(vae).weights.flatten()
    assert weights.mean().item() == pytest.approx(1, abs=1e-5) and (weights > 0).all()
    x = torch.randn(1, len(weights), 16, 16, generator=torch.Generator().manual_seed(1))
    none = torch.zeros(0)
    sample = Sample(x, backbone.decode(vae, x), none, none, none)
    measure = distances.make("weighted", vae)
    for channel, weight in enumerate(weights):
        off = x.clone()
        off[:, channel] += 0.5
        assert measure(off, sample).item() == pytest.approx(0.25 * weight.item() / len(weights), rel=1e-4)

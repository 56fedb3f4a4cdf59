"""Weights as they will be stored."""

import pytest
import torch
from torch import nn

from codi_export.errors import CodiError
from codi_export.model import storage


def layer(weight: float) -> nn.Linear:
    made = nn.Linear(1, 1)
    nn.init.constant_(made.weight, weight)
    nn.init.zeros_(made.bias)
    return made


def test_rounding() -> None:
    one = layer(0.1)
    assert not storage.is_exact(one)
    storage.round_to_stored(one)
    assert one.weight.item() == torch.tensor(0.1).half().item()
    assert one.weight.dtype == torch.float16
    assert storage.is_exact(one)


@pytest.mark.parametrize("weight", [1e5, float("nan"), float("inf")])
def test_what_half_cannot_hold_is_named(weight: float) -> None:
    with pytest.raises(CodiError, match="weight 'weight' holds"):
        storage.round_to_stored(layer(weight))


def network() -> nn.Module:
    """A layer, and a VAE's half that looks at its weights' type as diffusers' decoder does."""

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.conv(x.to(self.conv.weight.dtype))

    class Vae(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.post = nn.Conv2d(2, 2, 1)
            self.decoder = Decoder()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.decoder(self.post(x))

    torch.manual_seed(0)
    return Vae().requires_grad_(False)


def test_half_weights_compute_in_float32() -> None:
    """To the bit what the same numbers give as float32; afterwards they are float16 again, the same memory."""
    half = network()
    storage.round_to_stored(half)
    wide = network()
    wide.load_state_dict({name: tensor.float() for name, tensor in half.state_dict().items()})
    before = [tensor.data_ptr() for tensor in half.parameters()]
    x = torch.randn(1, 2, 3, 3)
    with storage.computing_in_float32(half):
        assert torch.equal(half(x), wide(x))
    assert [tensor.data_ptr() for tensor in half.parameters()] == before
    assert {tensor.dtype for tensor in half.parameters()} == {torch.float16}


def test_a_layer_that_fails_leaves_its_weights_as_they_were() -> None:
    half = network()
    storage.round_to_stored(half)
    with storage.computing_in_float32(half), pytest.raises(RuntimeError):
        half(torch.randn(1, 3, 3, 3))
    assert {tensor.dtype for tensor in half.parameters()} == {torch.float16}


def test_a_skeleton_has_shapes_and_no_weights() -> None:
    one = network()
    one.register_buffer("constant", torch.arange(3.0), persistent=False)
    storage.round_to_stored(one)
    bare = storage.skeleton(one)
    assert {name: tensor.shape for name, tensor in bare.state_dict().items()} == {
        name: tensor.shape for name, tensor in one.state_dict().items()
    }
    assert all(tensor.untyped_storage().nbytes() == 4 for tensor in bare.parameters())
    assert {tensor.dtype for tensor in bare.parameters()} == {torch.float32}
    assert torch.equal(bare.get_buffer("constant"), torch.arange(3.0))

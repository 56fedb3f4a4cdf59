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

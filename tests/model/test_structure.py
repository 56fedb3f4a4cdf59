"""What a graph depends on, told without its weights' values."""

import functools

import pytest
import torch
from torch import nn

from codi_export.model import structure
from tests import tiny


def test_weights_count_by_shape_alone() -> None:
    one, other, wide = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(2, 4)
    assert structure.fields(one) == structure.fields(other) != structure.fields(wide)
    assert structure.fields(one)["weight"] == "float32 [3, 2]"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (nn.AvgPool2d(2), nn.AvgPool2d(3)),
        (nn.GELU(), nn.GELU(approximate="tanh")),
        (nn.GELU(), nn.SiLU()),
        (nn.Sequential(nn.Identity(), nn.SiLU()), nn.Sequential(nn.SiLU(), nn.Identity())),
    ],
)
def test_settings_and_classes_count(a: nn.Module, b: nn.Module) -> None:
    assert structure.fields(a) != structure.fields(b)


def test_settings_that_are_calls_count() -> None:
    modules = [nn.Identity() for _ in range(3)]
    for module, factor in zip(modules, (2.0, 2.0, 3.0), strict=True):
        module.resize = functools.partial(nn.functional.interpolate, scale_factor=factor)  # type: ignore[assignment]
    first, same, other = map(structure.fields, modules)
    assert first == same != other


def test_constants_count_by_content() -> None:
    modules = [nn.Identity() for _ in range(3)]
    for module, value in zip(modules, (1.0, 1.0, 2.0), strict=True):
        module.register_buffer("constant", torch.tensor([value]), persistent=False)
    first, same, other = map(structure.fields, modules)
    assert first == same != other


def test_where_a_model_lies_does_not_count() -> None:
    unet = tiny.recipe("epsilon").backbone.unet
    found = structure.fields(unet)
    assert not [said for said in found.values() if str(tiny.recipe("epsilon").backbone.folder) in said]
    assert "cross_attention_dim" in found, "what the model's own config says does"

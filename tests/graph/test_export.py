"""A traced piece holds the module's weights under their own names, and nothing of the machine that traced it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from codi_export.errors import CodiError, ErrorCode
from codi_export.graph import store
from codi_export.graph.cache import Cache
from codi_export.graph.export import OPSET, Exported, trace
from codi_export.model import backbone as backbones
from codi_export.recipe import Recipe
from tests import tiny


@pytest.fixture(scope="module", params=tiny.KINDS)
def toy(request: pytest.FixtureRequest) -> tuple[Recipe, Exported]:
    return tiny.recipe(request.param), tiny.exported(request.param)


def test_inputs_and_outputs_are_named(toy: tuple[Recipe, Exported]) -> None:
    named = [([v.name for v in m.graph.inputs], [v.name for v in m.graph.outputs]) for m in toy[1].models]
    assert named == [
        (["image", "prompt"], ["condition1", "seen"]),
        (["z", "t", "alpha", "sigma", "prompt", "condition1"], ["x"]),
        (["x", "seen"], ["output", "picture"]),
    ]


def test_weights_are_the_folders_own_tensors(toy: tuple[Recipe, Exported]) -> None:
    """Name, shape and values: nothing is transposed, merged or folded."""
    recipe, exported = toy
    parts = {"unet": recipe.backbone.unet, "vae": recipe.backbone.vae, "adapter": recipe.adapters[0].net}
    known = {f"{part}.{name}": tensor for part, module in parts.items() for name, tensor in module.state_dict().items()}
    values = {
        name: v for model in exported.models for name, v in model.graph.initializers.items() if store.is_weight(name)
    }
    for name, value in values.items():
        np.testing.assert_array_equal(value.const_value.numpy(), known[name].numpy(), err_msg=name)
    used = {name for name in known if not name.startswith("vae.")}
    assert used <= set(values), "an adapter that begins as a copy of the U-Net keeps tensors of its own"


def test_values_are_named_after_the_modules_that_make_them(toy: tuple[Recipe, Exported]) -> None:
    recipe, exported = toy
    known = {f"unet.{name}" for name, _ in recipe.backbone.unet.named_modules()}
    convolutions = [node for node in exported.step.graph if node.op_type == "Conv"]
    for node in convolutions:
        module, _, _ = str(node.outputs[0].name).rpartition("/")
        weight = str(node.inputs[1].name)  # type: ignore[union-attr]
        assert weight == f"{module}.weight" and (not module.startswith("unet.") or module in known)
    assert len(convolutions) > 10


def test_nothing_else_is_large(toy: tuple[Recipe, Exported]) -> None:
    """Beside weights a piece holds shapes, scalars and the two resize matrices, never a transposed copy of a weight."""
    for model in toy[1].models:
        derived = {n: v.const_value.nbytes for n, v in model.graph.initializers.items() if not store.is_weight(n)}
        assert sum(size for name, size in derived.items() if "rows" not in name and "columns" not in name) < 4096, (
            derived
        )


def test_no_traces_of_the_machine(toy: tuple[Recipe, Exported]) -> None:
    for model in toy[1].models:
        assert model.opset_imports == {"": OPSET}
        assert not model.functions
        assert not model.metadata_props
        assert not any(node.metadata_props or node.doc_string for node in model.graph)


@pytest.mark.parametrize("kind", ["kl", "tiny", "dc"])
def test_every_vae_class_traces(kind: tiny.VaeKind, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tiny.backbone(tmp_path_factory.mktemp(kind), vae=kind)
    vae = backbones.load(folder).vae

    class Decode(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.vae = vae

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return backbones.decode(self.vae, x)

    model = trace("decode", Decode(), {"x": torch.zeros(1, 4, 4, 4)}, ("picture",), Cache(None))
    assert model.graph.outputs[0].shape == (1, 3, 16, 16)


class Eigen(nn.Module):
    """Has no ONNX operator in any opset."""

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return torch.linalg.eigh(z).eigenvalues


def test_an_operator_that_onnx_lacks_is_named(tmp_path: Path) -> None:
    """And the cache has no half of it."""
    with pytest.raises(
        CodiError, match=r"'odd' cannot be written with the operators of ONNX opset 18: .*eigh"
    ) as raised:
        trace("odd", Eigen(), {"z": torch.eye(3)}, ("x",), Cache(tmp_path))
    assert raised.value.code is ErrorCode.BAD_MODEL
    assert list(tmp_path.iterdir()) == []

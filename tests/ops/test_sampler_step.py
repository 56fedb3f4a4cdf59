"""torch's and ONNX Runtime's faces of a sampler update."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from codi_export.model.prediction import to_x
from codi_export.ops.sampler_step import KINDS, reference, sampler_step
from codi_export.samplers import Sampler, ddim, prev
from codi_export.spec import Step
from tests.ops import faces

both_types = pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
every_kind = pytest.mark.parametrize("kind", KINDS)
both_samplers = pytest.mark.parametrize("sampler", [prev.SAMPLER, ddim.SAMPLER], ids=lambda sampler: sampler.name)


def arguments(sampler: Sampler, kind: str, dtype: torch.dtype) -> tuple[list[Tensor], list[Any]]:
    torch.manual_seed(0)
    now, then = Step(999, 0.6, 0.8), Step(499, 0.8, 0.6)
    mix = sampler.update(now, then)
    tensors = [torch.randn(2, 4, 6, 5).to(dtype) for _ in range(2 + bool(mix.noise))]
    return tensors, [kind, now.alpha, now.sigma, mix.x, mix.z, mix.noise]


class Module(nn.Module):
    def __init__(self, constants: list[Any]) -> None:
        super().__init__()
        self.constants = constants

    def forward(self, prediction: Tensor, z: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        following, estimate = sampler_step(prediction, z, noise, *self.constants)
        return following, estimate


def padded(tensors: list[Tensor]) -> list[Tensor | None]:
    return [*tensors, *[None] * (3 - len(tensors))]


@both_types
@every_kind
@both_samplers
def test_torch(sampler: Sampler, kind: str, dtype: torch.dtype) -> None:
    tensors, constants = arguments(sampler, kind, dtype)
    theirs, exact = (reference(*padded(values), *constants) for values in (tensors, faces.double(tensors)))
    for ours, own, wanted in zip(sampler_step(*padded(tensors), *constants), theirs, exact, strict=True):
        faces.assert_as_good_as_torch(ours, own, wanted)


@every_kind
def test_the_estimate_is_that_of_the_model(kind: Any) -> None:
    (prediction, z, _), constants = arguments(prev.SAMPLER, kind, torch.float32)
    alpha, sigma = (torch.tensor(value) for value in constants[1:3])
    _, estimate = sampler_step(prediction, z, z, *constants)
    torch.testing.assert_close(estimate, to_x(kind, prediction, z, alpha, sigma))


@both_samplers
def test_opcheck(sampler: Sampler) -> None:
    tensors, constants = arguments(sampler, "v_prediction", torch.float32)
    torch.library.opcheck(sampler_step, (*padded(tensors), *constants))


@both_samplers
@pytest.mark.parametrize(("kind", "dtype"), [("epsilon", torch.float32), ("sample", torch.float16)])
def test_onnx(sampler: Sampler, kind: str, dtype: torch.dtype, onnxruntime_library: Path, tmp_path: Path) -> None:
    tensors, constants = arguments(sampler, kind, dtype)
    model = faces.export(Module(constants), tensors)
    theirs, exact = (reference(*padded(values), *constants) for values in (tensors, faces.double(tensors)))
    for library in (None, onnxruntime_library):
        for ours, own, wanted in zip(faces.run(model, tensors, library, tmp_path), theirs, exact, strict=True):
            faces.assert_as_good_as_torch(ours, own, wanted)


z = torch.zeros(2, 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"prediction": torch.zeros(2, 5)},
            r"prediction is torch.float32 \[2, 5\] on cpu: expected torch.float32 \[2, 4\]",
        ),
        ({"noise": None}, "noise is None, and mix_noise is 0.5"),
        ({"prediction_type": "eps"}, "prediction type 'eps': expected one of epsilon, v_prediction, sample"),
        ({"z": z.int()}, r"z is torch.int32 \[2, 4\]"),
        ({"alpha": 0.0}, "an epsilon prediction at alpha = 0 says nothing about x"),
    ],
)
def test_what_is_wrong_is_said(change: dict[str, Any], words: str) -> None:
    constants = {"alpha": 0.6, "sigma": 0.8, "mix_x": 1.0, "mix_z": 0.0, "mix_noise": 0.5}
    with pytest.raises(ValueError, match=words):
        sampler_step(**{"prediction": z, "z": z, "noise": z, "prediction_type": "epsilon"} | constants | change)

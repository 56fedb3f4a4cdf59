"""One sampler update: from a prediction at z to the next latent and the clean estimate."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from codi_export.ops import functions
from codi_export.ops.arguments import REAL, call, dense, expect, expect_real, pointer
from codi_export.ops.functions import FLOAT, codi, zeros
from codi_export.ops.records import EPSILON, SAMPLE, V_PREDICTION, SamplerStep

OP = "sampler_step"
KINDS = {"epsilon": EPSILON, "v_prediction": V_PREDICTION, "sample": SAMPLE}


@torch.library.custom_op("codi::sampler_step", mutates_args=())
def sampler_step(
    prediction: Tensor,
    z: Tensor,
    noise: Tensor | None,
    prediction_type: str,
    alpha: float,
    sigma: float,
    mix_x: float,
    mix_z: float,
    mix_noise: float,
) -> tuple[Tensor, Tensor]:
    """(mix_x x + mix_z z + mix_noise noise, x), where x is what the prediction at z = alpha x + sigma eps implies.

    The mix is a sampler's `Update`; noise may be None where mix_noise is 0. float32 or float16 of one shape, constants
    formed in float64. No gradient. Raises ValueError for anything else.
    """
    _check(prediction, z, noise, prediction_type, mix_noise)
    following, estimate = torch.empty_like(z, memory_format=torch.contiguous_format), z.new_empty(z.shape)
    prediction, z, noise = dense(prediction, z, noise)  # type: ignore[assignment]
    constants = {"alpha": alpha, "sigma": sigma, "mix_x": mix_x, "mix_z": mix_z, "mix_noise": mix_noise}
    pointers = {"prediction": pointer(prediction), "z": pointer(z), "noise": pointer(noise)}
    kinds = {"elements": z.numel(), "prediction_type": KINDS[prediction_type], "type": REAL[z.dtype]}
    outputs = {"next": pointer(following), "estimate": pointer(estimate)}
    call(SamplerStep(**constants, **pointers, **kinds, **outputs), z.device)
    return following, estimate


@sampler_step.register_fake
def _(
    prediction: Tensor,
    z: Tensor,
    noise: Tensor | None,
    prediction_type: str,
    alpha: float,
    sigma: float,
    mix_x: float,
    mix_z: float,
    mix_noise: float,
) -> tuple[Tensor, Tensor]:
    _check(prediction, z, noise, prediction_type, mix_noise)
    return z.new_empty(z.shape), z.new_empty(z.shape)


def _check(prediction: Tensor, z: Tensor, noise: Tensor | None, prediction_type: str, mix_noise: float) -> None:
    expect_real(OP, "z", z, 0, "[...]")
    expect(OP, "prediction", prediction, tuple(z.shape), z)
    if noise is not None:
        expect(OP, "noise", noise, tuple(z.shape), z)
    elif mix_noise:
        raise ValueError(f"{OP}: noise is None, and mix_noise is {mix_noise}: expected a tensor, or 0")
    if prediction_type not in KINDS:
        raise ValueError(f"{OP}: prediction type {prediction_type!r}: expected one of {', '.join(KINDS)}")


def coefficients(prediction_type: str, alpha: float, sigma: float) -> tuple[float, float]:
    """(a, b) with x = a z + b prediction. Raises ValueError where the prediction says nothing about x."""
    if prediction_type == "epsilon" and alpha == 0:
        raise ValueError(f"{OP}: an epsilon prediction at alpha = 0 says nothing about x")
    if prediction_type == "epsilon":
        return 1 / alpha, -sigma / alpha
    return (alpha, -sigma) if prediction_type == "v_prediction" else (0.0, 1.0)


def reference(
    prediction: Tensor,
    z: Tensor,
    noise: Tensor | None,
    prediction_type: str,
    alpha: float,
    sigma: float,
    mix_x: float,
    mix_z: float,
    mix_noise: float,
) -> tuple[Tensor, Tensor]:
    """The same from torch's own operations."""
    a, b = coefficients(prediction_type, alpha, sigma)
    x = a * z + b * prediction
    following = mix_x * x + mix_z * z
    return (following if noise is None else following + mix_noise * noise), x


functions.declare(
    """
    <domain: "codi", opset_import: ["" : 18]>
    SamplerStep <estimate_z, estimate_prediction, mix_x, mix_z, mix_noise> (prediction, z, noise) => (next, estimate) {
        wide_prediction = Cast <to = 1> (prediction)
        wide_z = Cast <to = 1> (z)
        wide_noise = Cast <to = 1> (noise)
        a = Constant <value_float: float = @estimate_z> ()
        b = Constant <value_float: float = @estimate_prediction> ()
        from_z = Mul (wide_z, a)
        from_prediction = Mul (wide_prediction, b)
        x = Add (from_z, from_prediction)
        p = Constant <value_float: float = @mix_x> ()
        q = Constant <value_float: float = @mix_z> ()
        r = Constant <value_float: float = @mix_noise> ()
        mixed_x = Mul (x, p)
        mixed_z = Mul (wide_z, q)
        mixed_noise = Mul (wide_noise, r)
        most = Add (mixed_x, mixed_z)
        all = Add (most, mixed_noise)
        next = CastLike (all, z)
        estimate = CastLike (x, z)
    }""",
    dict.fromkeys(("estimate_z", "estimate_prediction", "mix_x", "mix_z", "mix_noise"), FLOAT),
)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """This op for torch's exporter."""
    return {torch.ops.codi.sampler_step.default: _translate}


def _translate(
    prediction: Any,
    z: Any,
    noise: Any,
    prediction_type: str,
    alpha: float,
    sigma: float,
    mix_x: float,
    mix_z: float,
    mix_noise: float,
) -> Any:
    a, b = coefficients(prediction_type, alpha, sigma)
    mix = {"mix_x": mix_x, "mix_z": mix_z, "mix_noise": mix_noise}
    noise = zeros((), z) if noise is None else noise
    return codi.SamplerStep(prediction, z, noise, estimate_z=a, estimate_prediction=b, **mix)

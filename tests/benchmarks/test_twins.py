"""The Triton twins, interpreted, answer to the references and limits of the kernels themselves, in the same memory."""

import ctypes
import importlib.util
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import DTypeLike
from torch import Tensor

from codi_export.ops import library
from codi_export.ops.records import (
    EPSILON,
    FLOAT16,
    NHWC,
    V_PREDICTION,
    Geglu,
    GroupNormSilu,
    ImageToTensor,
    Noise,
    Record,
    SamplerStep,
    TensorToImage,
)
from codi_export.runtime.noise import normal
from tests.kernels import (
    harness,
    test_geglu,
    test_group_norm_silu,
    test_image_io,
    test_noise,
    test_sampler_step,
)

if importlib.util.find_spec("triton") is None:
    pytest.skip("needs Triton: make .venv/.triton", allow_module_level=True)

from benchmarks.twins import geglu, group_norm_silu, image_io, noise, sampler_step

KINDS = {EPSILON: "epsilon", V_PREDICTION: "v_prediction"}


class Twins:
    """In the place of `harness.Kernels`: a record's memory as tensors, and the twin of its op on them."""

    sides = ("triton",)
    library = library.load()  # knows the sizes of workspaces

    def shuffle(self, seed: int) -> None:
        """The interpreter has one order."""

    def run(self, _: str, record: Record) -> None:
        with np.errstate(all="ignore"):  # overflow and NaN are among the cases
            RUN[type(record)](record)


def tensor(address: int | None, *shape: int, dtype: DTypeLike) -> Tensor:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = (ctypes.c_uint8 * size).from_address(address or 0) if size else bytearray()
    return torch.from_numpy(np.ndarray(shape, dtype, buffer))


def run_geglu(a: Any) -> None:
    real, wide = harness.TYPES[a.type], 2 * a.columns
    bias = tensor(a.bias, wide, dtype=real) if a.bias else None
    geglu.geglu(tensor(a.x, a.rows, wide, dtype=real), bias, tensor(a.out, a.rows, a.columns, dtype=real))


def run_group_norm(a: Any) -> None:
    real, wide = harness.TYPES[a.type], (a.batch, a.positions)
    parts = {
        "weight": (a.channels,), "bias": (a.channels,), "shift": (a.batch, a.channels),
        "residual": (*wide, a.channels), "second": (*wide, a.second_channels), "out": (*wide, a.channels),
    }  # fmt: skip
    given = {
        name: tensor(getattr(a, name), *shape, dtype=real) if getattr(a, name) else None
        for name, shape in parts.items()
    }
    x = tensor(a.x, *wide, a.channels - a.second_channels, dtype=real)
    weight, bias = given.pop("weight"), given.pop("bias")
    group_norm_silu.group_norm_silu(x, weight, bias, a.groups, a.epsilon, bool(a.silu), **given)


def run_sampler_step(a: Any) -> None:
    def of(address: int | None) -> Tensor | None:
        return tensor(address, a.elements, dtype=harness.TYPES[a.type]) if address else None

    constants = (KINDS.get(a.prediction_type, "sample"), a.alpha, a.sigma, a.mix_x, a.mix_z, a.mix_noise)
    given = [tensor(one, a.elements, dtype=harness.TYPES[a.type]) for one in (a.prediction, a.z)]
    sampler_step.sampler_step(*given, of(a.noise), *constants, out=(of(a.next), of(a.estimate)))


def run_noise(a: Any) -> None:
    out = tensor(a.out, a.batch, a.channels, a.height, a.width, dtype=harness.TYPES[a.type])
    noise.noise_like(out, a.seed, a.image, a.y, a.x, out=out)


def run_image_to_tensor(a: Any) -> None:
    image, last = tensor(a.image, a.batch, a.height, a.width, a.channels, dtype=np.uint8), a.layout == NHWC
    size = (a.out_height, a.out_width)
    shape = (a.batch, *size, a.channels) if last else (a.batch, a.channels, *size)
    out = tensor(a.out, *shape, dtype=harness.TYPES[a.type])
    image_io.image_to_tensor(image, *size, a.gain, a.offset, out.dtype, last, out)


def run_tensor_to_image(a: Any) -> None:
    size, last = (a.height, a.width), a.layout == NHWC
    shape = (a.batch, *size, a.channels) if last else (a.batch, a.channels, *size)
    image = tensor(a.image, a.batch, *size, a.channels, dtype=np.uint8)
    image_io.tensor_to_image(tensor(a.tensor, *shape, dtype=harness.TYPES[a.type]), last, image)


RUN = {
    Geglu: run_geglu,
    GroupNormSilu: run_group_norm,
    SamplerStep: run_sampler_step,
    Noise: run_noise,
    ImageToTensor: run_image_to_tensor,
    TensorToImage: run_tensor_to_image,
}


@pytest.fixture
def twins() -> Iterator[Any]:
    """What a twin allocates is full of NaN."""
    torch.use_deterministic_algorithms(True)
    yield Twins()
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("op", [test_geglu, test_group_norm_silu, test_image_io, test_sampler_step])
def test_a_twin_is_the_kernel(twins: Any, op: Any) -> None:
    with harness.fresh() as rng:
        for case in op.CASES:
            op.check_case(twins, case, rng)


def test_a_nan_stays_in_its_group(twins: Any) -> None:
    with harness.fresh() as rng:
        test_group_norm_silu.check_nan_stays_in_its_group(twins, test_group_norm_silu.CASES[3], rng)


def test_pictures_out(twins: Any) -> None:
    with harness.fresh() as rng:
        for case in test_image_io.CASES:
            test_image_io.check_back(twins, replace(case, scale=(1, 1)), rng)
    test_image_io.check_nan(twins)


def test_noise_is_the_same_bits(twins: Any) -> None:
    with harness.fresh() as rng:
        test_noise.prove(twins, rng)
        seed, corner = int(rng.integers(2**64, dtype=np.uint64)), 2**32 - 3  # coordinates wrap
        out = test_noise.noise(twins, "triton", seed, (2, 2, 5, 3000), image=corner, y=corner, x=corner, type=FLOAT16)
        np.testing.assert_array_equal(out, normal(seed, (2, 2, 5, 3000), (corner, corner), corner).astype(np.float16))


def test_triton_compiles_them_and_rounds_noise_as_defined(tmp_path: Path) -> None:
    """The interpreter takes more than the compiler does: it fuses nothing, and its numbers are all float64."""
    command = [sys.executable, "-m", "tests.benchmarks.compile_twins", "75", "87", "120"]
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    result = subprocess.run(command, cwd=harness.ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    code = json.loads(result.stdout)
    assert set(code) == {"_apply", "_geglu", "_moments", "_noise", "_step", "_to_image", "_to_tensor"}
    assert re.search(r"\bfma\.", code["_geglu"]) and not re.search(r"\bfma\.", code["_noise"] + code["_to_image"])
    rounded = set(re.findall(r"\b((?:add|sub|mul|div|sqrt)\S*f64)\b", code["_noise"]))
    assert rounded == {"add.rn.f64", "sub.rn.f64", "mul.rn.f64", "div.rn.f64", "sqrt.rn.f64"}
    numbers = set(re.findall(r"\b0d([0-9A-F]{16})\b", code["_noise"]))
    header = (harness.ROOT / "kernels/noise/noise.h").read_text()
    written = re.findall(r"(?<![\w.])\d\.\d{4,}(?:e-?\d+)?", header)
    assert len(written) == 33
    for value in map(float, written):
        both = {struct.pack(">d", sign * value).hex().upper() for sign in (1, -1)}
        assert both & numbers, f"{value} is not among the constants"

"""Host and CUDA sampler updates against float64; tests/ops compares them with `model.prediction`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codi_export.ops.records import EPSILON, FLOAT16, FLOAT32, SAMPLE, V_PREDICTION, SamplerStep
from codi_export.samplers import ddim, prev
from codi_export.spec import Step
from tests.kernels import harness
from tests.kernels.harness import Kernels, Memory

EPS32 = float(np.finfo(np.float32).eps)
NULL, SIZE, TYPE, ALIGNMENT, OVERLAP, VALUE = 2, 3, 4, 5, 6, 8
KINDS = (EPSILON, V_PREDICTION, SAMPLE)
SAMPLERS = {"prev": prev.SAMPLER, "ddim": ddim.SAMPLER}
FIRST, SECOND = Step(999, 0.0682, 0.9977), Step(499, 0.4923, 0.8704)


@dataclass(frozen=True)
class Case:
    elements: int
    sampler: str = "prev"
    prediction_type: int = EPSILON
    real: int = FLOAT16
    now: Step = FIRST
    then: Step = SECOND
    outputs: str = "ne"  # next, estimate
    unaligned: int = 0  # bytes
    spread: float = 1.0


CASES = [
    *(Case(64, sampler, kind, real) for sampler in SAMPLERS for kind in KINDS for real in (FLOAT32, FLOAT16)),
    Case(37, real=FLOAT32),
    Case(1, "ddim", SAMPLE, outputs="n"),
    Case(4099, "ddim", V_PREDICTION, outputs="e"),
    Case(2048, "prev", V_PREDICTION, now=Step(999, 0.0, 1.0)),  # zero terminal SNR
    Case(640, unaligned=2),
    Case(640, real=FLOAT32, unaligned=4),
    Case(64, spread=65504.0),  # the largest float16: sums overflow
    Case(64, spread=3e-7),  # subnormal float16
    Case(64, spread=1e-40, real=FLOAT32),
    Case(0),
]


def tensors(case: Case, rng: np.random.Generator) -> dict[str, Memory]:
    dtype = harness.TYPES[case.real]
    given = {
        name: np.clip(rng.standard_normal(case.elements) * case.spread, -65504, 65504).astype(dtype)
        for name in ("prediction", "z", "noise")
    }
    made = {name: Memory.of(values, case.unaligned) for name, values in given.items()}
    return made | {name: Memory((case.elements,), dtype, case.unaligned) for name in ("next", "estimate")}


def record(case: Case, made: dict[str, Memory], values: dict[str, Any] | None = None) -> SamplerStep:
    mix = SAMPLERS[case.sampler].update(case.now, case.then)
    constants = {
        "alpha": case.now.alpha,
        "sigma": case.now.sigma,
        "mix_x": mix.x,
        "mix_z": mix.z,
        "mix_noise": mix.noise,
    }
    pointers: dict[str, Any] = {name: memory.address for name, memory in made.items()}
    pointers["next"] = pointers["next"] if "n" in case.outputs else None
    pointers["estimate"] = pointers["estimate"] if "e" in case.outputs else None
    pointers["noise"] = pointers["noise"] if mix.noise else None
    kinds = {"prediction_type": case.prediction_type, "type": case.real, "elements": case.elements}
    return SamplerStep(**constants | pointers | kinds | (values or {}))


def reference(case: Case, made: dict[str, Memory]) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
    """next and estimate in float64, each with how far float32 arithmetic and one rounding may take another from it."""
    prediction, z, noise = (made[name].array.astype(np.float64) for name in ("prediction", "z", "noise"))
    alpha, sigma = case.now.alpha, case.now.sigma
    if case.prediction_type == EPSILON:
        x, x_size = (z - sigma * prediction) / alpha, (np.abs(z) + sigma * np.abs(prediction)) / alpha
    elif case.prediction_type == V_PREDICTION:
        x, x_size = alpha * z - sigma * prediction, alpha * np.abs(z) + sigma * np.abs(prediction)
    else:
        x, x_size = prediction, np.abs(prediction)
    mix = SAMPLERS[case.sampler].update(case.now, case.then)
    following = mix.x * x + mix.z * z + mix.noise * noise
    following_size = abs(mix.x) * x_size + abs(mix.z) * np.abs(z) + abs(mix.noise) * np.abs(noise)
    # Each term is a rounded constant times a value, rounded, and is added with one or two roundings more. Below the
    # normal numbers, a product is rounded at the step of the subnormal ones.
    pairs = {"next": (following, following_size), "estimate": (x, x_size)}
    return {
        name: (value, 1.5 * (2 * EPS32 * size + 3 * 2.0**-150 + harness.half_ulp(value, case.real)))
        for name, (value, size) in pairs.items()
    }


def agrees(case: Case, got: NDArray[Any], value: NDArray[Any], limit: NDArray[Any]) -> bool:
    """Within the limit, or the infinity that it rounds to."""
    overflown = (np.abs(value) >= 65520) & (case.real == FLOAT16)
    return bool(np.where(overflown, got == np.copysign(np.inf, value), np.abs(got - value) <= limit).all())


def check_case(kernels: Kernels, case: Case, rng: np.random.Generator) -> None:
    made = tensors(case, rng)
    for side in harness.both(kernels):
        bits = []
        for _ in range(2):
            made["next"].poison()
            made["estimate"].poison()
            kernels.run(side, record(case, made))
            for memory in made.values():
                memory.check()
            for name, (value, limit) in reference(case, made).items():
                if name[0] in case.outputs:
                    assert agrees(case, made[name].array, value, limit), f"{side} {case}: {name}"
                else:
                    assert np.isnan(made[name].array).all(), f"{name} was not asked for"
            bits.append(made["next"].array.tobytes() + made["estimate"].array.tobytes())
        assert bits[0] == bits[1], f"{side} {case}: two runs differ"


def prove(kernels: Kernels, rng: np.random.Generator) -> None:
    for case in CASES:
        check_case(kernels, case, rng)


@pytest.fixture(scope="module")
def kernels(kernels_of: Callable[[str], Kernels]) -> Kernels:
    return kernels_of("sampler_step")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_float64(kernels: Kernels, case: Case) -> None:
    with harness.fresh() as rng:
        check_case(kernels, case, rng)


@pytest.mark.parametrize("alias", ["prediction", "z", "noise"])
@pytest.mark.parametrize("output", ["next", "estimate"])
def test_in_place(kernels: Kernels, alias: str, output: str) -> None:
    case = Case(800, real=FLOAT32)
    with harness.fresh() as rng:
        made = tensors(case, rng)
        value, limit = reference(case, made)[output]
        before = made[alias].array.copy()
        for side in harness.both(kernels):
            made[alias].array[...] = before
            kernels.run(side, record(case, made, {output: made[alias].address}))
            assert (np.abs(made[alias].array - value) <= limit).all()


def test_a_nan_stays_where_it_is(kernels: Kernels) -> None:
    case = Case(64)
    made = tensors(case, np.random.default_rng(0))
    made["prediction"].array[5], made["z"].array[17], made["noise"].array[40] = np.nan, np.nan, np.nan
    for side in harness.both(kernels):
        kernels.run(side, record(case, made))
        assert np.flatnonzero(np.isnan(made["estimate"].array)).tolist() == [5, 17]
        assert np.flatnonzero(np.isnan(made["next"].array)).tolist() == [5, 17, 40]


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [
        ({"z": 0}, NULL, "z is null"),
        ({"noise": 0}, NULL, "noise is null"),
        ({"next": 0, "estimate": 0}, NULL, "next and estimate are both null"),
        ({"elements": -1}, SIZE, "a size of z is -1"),
        ({"elements": 1 << 31}, SIZE, "more than 2^31 - 1 elements"),
        ({"type": 3}, TYPE, "type 3"),
        ({"prediction_type": 3}, VALUE, "prediction type 3"),
        ({"alpha": 0.0}, VALUE, "an epsilon prediction at alpha = 0"),
        ({"mix_x": float("inf")}, VALUE, "a constant is inf"),
        ({"next": "estimate"}, OVERLAP, "next overlaps estimate"),
        ({"next": "inside z"}, OVERLAP, "next overlaps z without being it"),
        ({"z": "odd"}, ALIGNMENT, "z is at"),
    ],
)
def test_bad_arguments_are_refused(kernels: Kernels, values: dict[str, Any], status: int, words: str) -> None:
    case = Case(16)
    made = tensors(case, np.random.default_rng(0))
    places = {"estimate": made["estimate"].address, "inside z": made["z"].address + 2, "odd": made["z"].address + 1}
    values = {name: places.get(value, value) for name, value in values.items()}
    for side in harness.SIDES:
        assert kernels.call(side, record(case, made, values)) == status
        assert kernels.message.startswith("sampler_step: ") and words in kernels.message
    assert np.isnan(made["next"].array).all() and np.isnan(made["estimate"].array).all()

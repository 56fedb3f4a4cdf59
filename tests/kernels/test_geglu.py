"""Host and CUDA GEGLU against float64."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codi_export.ops import library
from codi_export.ops.records import FLOAT16, FLOAT32, Geglu
from tests.kernels import harness
from tests.kernels.harness import Kernels, Memory

EPS32 = float(np.finfo(np.float32).eps)
NULL, SIZE, TYPE, ALIGNMENT, OVERLAP = 2, 3, 4, 5, 6
normal_cdf = np.vectorize(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)), otypes=[np.float64])


@dataclass(frozen=True)
class Case:
    rows: int
    columns: int
    bias: bool = True
    real: int = FLOAT16
    spread: float = 1.0
    unaligned: int = 0  # bytes


CASES = [
    Case(5, 64),
    Case(3, 1280, bias=False),
    Case(7, 20, real=FLOAT32),
    Case(2, 13),
    Case(1, 1),
    Case(9, 8, unaligned=2),
    Case(3, 12, real=FLOAT32, unaligned=4),
    Case(4, 520, spread=6.0, real=FLOAT32, bias=False),  # into the tails, where the result is tiny
    Case(3, 64, spread=65504.0, bias=False),
    Case(3, 64, spread=1e-7, bias=False),
    Case(2, 600, spread=1e-40, real=FLOAT32, bias=False),
    Case(0, 8),
    Case(4, 0),
]


def tensors(case: Case, rng: np.random.Generator) -> tuple[Memory, Memory, Memory]:
    dtype = harness.TYPES[case.real]
    drawn = rng.standard_normal((case.rows, 2 * case.columns)) * case.spread
    x = np.clip(drawn, -65504, 65504).astype(dtype) if case.real == FLOAT16 else drawn.astype(dtype)
    bias = rng.standard_normal(2 * case.columns).astype(dtype)
    out = Memory((case.rows, case.columns), dtype, case.unaligned)
    return Memory.of(x, case.unaligned), Memory.of(bias, case.unaligned), out


def record(case: Case, x: Memory, bias: Memory, out: Memory, values: dict[str, Any] | None = None) -> Geglu:
    pointers = {"x": x.address, "bias": bias.address if case.bias else None, "out": out.address}
    return Geglu(**{"rows": case.rows, "columns": case.columns, "type": case.real} | pointers | (values or {}))


def reference(case: Case, x: Memory, bias: Memory) -> tuple[NDArray[Any], NDArray[Any]]:
    """The result in float64, and how far float32 arithmetic and one rounding at the end may take another from it."""
    given, added = x.array.astype(np.float64), bias.array.astype(np.float64) * case.bias
    value, gate = np.split(given + added, 2, axis=1)
    moved = EPS32 / 2 * (np.abs(given) + np.abs(added)) * case.bias  # value and gate, by the rounding of the sum
    value_moved, gate_moved = np.split(moved, 2, axis=1)
    result, tail = value * gate * normal_cdf(gate), normal_cdf(-np.abs(gate))
    slope = normal_cdf(gate) + np.abs(gate) * np.exp(-gate * gate / 2) / math.sqrt(2 * math.pi)  # of gelu, at most
    error = np.abs(gate) * normal_cdf(gate) * value_moved + np.abs(value) * slope * gate_moved
    # The products relative to themselves; the tail's exponent, g^2 / 2, at its own size; what is below float32 is 0.
    error += EPS32 * (6 * np.abs(result) + np.abs(value * gate) * tail * gate * gate) + np.abs(value) * 1e-33
    result = np.where(np.abs(result) >= 65520, np.copysign(np.inf, result), result) if case.real == FLOAT16 else result
    return result, 1.5 * (error + harness.half_ulp(np.where(np.isinf(result), 0, result), case.real))


def check_case(kernels: Kernels, case: Case, rng: np.random.Generator) -> None:
    x, bias, out = tensors(case, rng)
    expected, limit = reference(case, x, bias)
    for side in harness.both(kernels):
        bits = []
        for _ in range(2):
            out.poison()
            kernels.run(side, record(case, x, bias, out))
            for memory in (x, bias, out):
                memory.check()
            got = out.array.astype(np.float64)
            with np.errstate(invalid="ignore"):  # inf - inf, where both overflow
                same = (got == expected) | (np.abs(got - expected) <= limit)
            assert same.all(), (
                f"{side} {case}: {got[~same][:3]}, expected {expected[~same][:3]} within {limit[~same][:3]}"
            )
            bits.append(out.array.tobytes())
        assert bits[0] == bits[1], f"{side} {case}: two runs differ"


def prove(kernels: Kernels, rng: np.random.Generator) -> None:
    for case in CASES:
        check_case(kernels, case, rng)


@pytest.fixture(scope="module")
def kernels(kernels_of: Callable[[str], Kernels]) -> Kernels:
    return kernels_of("geglu")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_float64(kernels: Kernels, case: Case) -> None:
    with harness.fresh() as rng:
        check_case(kernels, case, rng)


def test_random_shapes(kernels: Kernels) -> None:
    with harness.fresh() as rng:
        for _ in range(20):
            rows, columns = int(rng.integers(1, 9)), int(rng.integers(1, 200))
            check_case(kernels, Case(rows, columns, bool(rng.random() < 0.5), int(rng.choice([FLOAT32, FLOAT16]))), rng)


def test_vectors_change_no_bit(kernels: Kernels) -> None:
    """This build is plain; the one that `codi_export.ops` makes uses all that the processor has."""
    case = Case(50, 640, real=FLOAT32, spread=4.0)
    with harness.fresh() as rng:
        x, bias, out = tensors(case, rng)
        kernels.run("host", record(case, x, bias, out))
        plain = out.array.tobytes()
        library.call(record(case, x, bias, out))
        assert out.array.tobytes() == plain


def test_a_nan_stays_where_it_is(kernels: Kernels) -> None:
    case = Case(3, 16, bias=False)
    x, bias, out = tensors(case, np.random.default_rng(0))
    x.array[1, 5], x.array[2, 16 + 7] = np.nan, np.nan
    for side in harness.both(kernels):
        kernels.run(side, record(case, x, bias, out))
        assert np.argwhere(np.isnan(out.array)).tolist() == [[1, 5], [2, 7]]


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [
        ({"x": 0}, NULL, "x is null"),
        ({"out": 0}, NULL, "out is null"),
        ({"rows": -1}, SIZE, "a size of x is -1"),
        ({"columns": 1 << 30}, SIZE, "more than 2^31 - 1 elements"),
        ({"type": -1}, TYPE, "type -1"),
        ({"out": "x"}, OVERLAP, "out overlaps x"),
        ({"out": "odd"}, ALIGNMENT, "out is at"),
    ],
)
def test_bad_arguments_are_refused(kernels: Kernels, values: dict[str, Any], status: int, words: str) -> None:
    case = Case(3, 8)
    x, bias, out = tensors(case, np.random.default_rng(0))
    places = {"x": x.address, "odd": out.address + 1}
    values = {name: places.get(value, value) for name, value in values.items()}
    for side in harness.SIDES:
        assert kernels.call(side, record(case, x, bias, out, values)) == status
        assert kernels.message.startswith("geglu: ") and words in kernels.message
    assert np.isnan(out.array).all(), "a refused call wrote something"

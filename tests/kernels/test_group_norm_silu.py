"""Host and CUDA GroupNorm + SiLU against float64: shapes, offsets, extremes, aliases, and what is refused."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from codi_export.ops import library
from codi_export.ops.records import FLOAT16, FLOAT32, GroupNormSilu
from tests.kernels import harness
from tests.kernels.harness import Kernels, Memory

EPS32 = float(np.finfo(np.float32).eps)
NULL, SIZE, TYPE, ALIGNMENT, OVERLAP, WORKSPACE, VALUE = 2, 3, 4, 5, 6, 7, 8
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    batch: int
    positions: int
    channels: int
    groups: int
    second: int = 0
    parts: str = "swb"  # shift, residual, weight, bias
    silu: bool = True
    real: int = FLOAT16
    offset: float = 0.0
    spread: float = 1.0
    unaligned: int = 0  # bytes
    epsilon: float = 1e-5


CASES = [
    Case(1, 64, 320, 32),  # the packed path, one split
    Case(2, 130, 320, 32, real=FLOAT32),
    Case(1, 63, 128, 32, parts="srwb"),
    Case(3, 65, 64, 4, second=24),
    Case(1, 100, 2560, 32, second=1280, parts="swb"),  # more packs than threads: two tiles
    Case(1, 3, 4000, 25),  # the second tile nearly as large as the first
    Case(1, 9, 520, 5, real=FLOAT32, parts="srwb"),  # groups that straddle tiles of the scalar path
    Case(2, 1, 8, 1),
    Case(1, 2, 24, 24, parts=""),
    Case(2, 3, 8, 8, parts="w", silu=False),
    Case(1, 5, 7, 7, real=FLOAT32),  # nothing is a multiple of a pack
    Case(2, 33, 35, 5, second=3),
    Case(1, 1023, 40, 4),
    Case(1, 300, 120, 1, parts="sr"),
    Case(2, 64, 96, 32, offset=300.0),
    Case(2, 64, 96, 32, offset=-300.0, real=FLOAT32, parts="swb"),
    Case(1, 50, 64, 8, spread=0.0, offset=-300.0, parts="wb"),  # constant: the variance is 0
    Case(1, 50, 64, 8, spread=0.0, offset=1.0, parts="", epsilon=1e-3, real=FLOAT32),
    Case(1, 70, 64, 2, spread=65504.0, parts="wb"),  # the largest float16
    Case(1, 70, 64, 2, spread=3e-7, parts="wb"),  # subnormal float16
    Case(1, 70, 64, 2, spread=1e-40, parts="wb", real=FLOAT32, epsilon=1e-12),
    Case(2, 64, 320, 32, unaligned=2, parts="srwb"),
    Case(1, 40, 64, 8, unaligned=4, real=FLOAT32),
    Case(0, 10, 8, 2),
    Case(2, 0, 8, 2),
]
MANY_SPLITS = Case(1, 4300, 128, 32)  # 34: more than a warp has threads


@dataclass
class Tensors:
    case: Case
    given: dict[str, Memory]
    out: Memory
    workspace: Memory

    def record(self, **values: Any) -> GroupNormSilu:
        case = self.case
        sizes = {name: getattr(case, name) for name in ("batch", "positions", "channels", "groups", "epsilon")}
        pointers = {name: memory.address for name, memory in self.given.items()}
        more = {"second_channels": case.second, "silu": case.silu, "type": case.real, "out": self.out.address}
        space = {"workspace": self.workspace.address, "workspace_bytes": self.workspace.bytes}
        return GroupNormSilu(**sizes | pointers | more | space | values)

    def check(self) -> None:
        for memory in (*self.given.values(), self.out, self.workspace):
            memory.check()


def draw(rng: np.random.Generator, spread: float, shape: tuple[int, ...]) -> Doubles:
    """Normal, or random signs of the largest float16."""
    return rng.choice([-1.0, 1.0], shape) * spread if spread == 65504.0 else rng.standard_normal(shape) * spread


def tensors(kernels: Kernels, case: Case, rng: np.random.Generator) -> Tensors:
    wide = (case.batch, case.positions)
    dtype = harness.TYPES[case.real]
    values = {"x": draw(rng, case.spread, (*wide, case.channels - case.second)) + case.offset}
    if case.second:
        values["second"] = draw(rng, case.spread, (*wide, case.second)) - case.offset
    drawn = {"s": ("shift", (case.batch, case.channels)), "r": ("residual", (*wide, case.channels))}
    drawn |= {"w": ("weight", (case.channels,)), "b": ("bias", (case.channels,))}
    for part in case.parts:
        name, shape = drawn[part]
        values[name] = rng.standard_normal(shape)
    given = {name: Memory.of(value.astype(dtype), case.unaligned) for name, value in values.items()}
    out = Memory((*wide, case.channels), dtype, case.unaligned)
    made = Tensors(case, given, out, Memory((0,)))
    made.workspace = Memory((workspace_bytes(kernels, made.record()),), np.uint8)
    return made


def workspace_bytes(kernels: Kernels, record: GroupNormSilu) -> int:
    query = kernels.library.codi_group_norm_silu_workspace
    query.restype = ctypes.c_int64
    return int(query(ctypes.byref(record)))


def reference(made: Tensors) -> tuple[Doubles, Doubles]:
    """The result in float64, and how far float32 arithmetic and one rounding at the end may take another from it."""
    case = made.case
    given = {name: memory.array.astype(np.float64) for name, memory in made.given.items()}
    nothing = np.zeros(case.channels)
    v = given["x"] if not case.second else np.concatenate([given["x"], given["second"]], axis=-1)
    shift = given.get("shift", np.zeros((case.batch, case.channels)))[:, None]
    residual = given.get("residual", nothing)
    size = np.abs(v) + np.abs(shift) + np.abs(residual)  # what was added up, for its rounding
    v = v + shift + residual
    if v.size == 0:
        return v, v
    grouped = v.reshape(case.batch, case.positions, case.groups, case.channels // case.groups)
    mean = grouped.mean(axis=(1, 3), keepdims=True)
    inverse = 1 / np.sqrt(((grouped - mean) ** 2).mean(axis=(1, 3), keepdims=True) + case.epsilon)
    largest = size.reshape(grouped.shape).max(axis=(1, 3), keepdims=True)
    scale = np.broadcast_to(inverse, grouped.shape).reshape(v.shape) * given.get("weight", nothing + 1)
    centred = (grouped - mean).reshape(v.shape) * scale
    y = centred + given.get("bias", nothing)
    result = y / (1 + np.exp(-y)) if case.silu else y
    # v and the mean are rounded at the size of the largest term; 1 / deviation and the products at their own.
    rounding = np.broadcast_to(largest, grouped.shape).reshape(v.shape) * np.abs(scale)
    error = EPS32 * (2 * rounding + 6 * np.abs(centred) + 2 * np.abs(y) + 4 * np.abs(result))
    return result, 1.5 * (error + harness.half_ulp(result, case.real))


def check_case(kernels: Kernels, case: Case, rng: np.random.Generator) -> None:
    made = tensors(kernels, case, rng)
    expected, limit = reference(made)
    for side in harness.both(kernels):
        bits = []
        for _ in range(2):
            made.out.poison()
            made.workspace.poison()
            kernels.run(side, made.record())
            made.check()
            worst = np.abs(made.out.array.astype(np.float64) - expected) - limit
            assert not worst.size or worst.max() <= 0, f"{side} {case}: {worst.max()} beyond its limit"
            bits.append(made.out.array.tobytes())
        assert bits[0] == bits[1], f"{side} {case}: two runs differ"


def check_nan_stays_in_its_group(kernels: Kernels, case: Case, rng: np.random.Generator) -> None:
    made = tensors(kernels, case, rng)
    x = made.given["x"].array
    channel = int(rng.integers(x.shape[2]))
    x[0, int(rng.integers(case.positions)), channel] = rng.choice([np.nan, np.inf])
    group = channel // (case.channels // case.groups)
    for side in harness.both(kernels):
        made.out.poison()
        kernels.run(side, made.record())
        spoiled = np.isnan(made.out.array.reshape(case.batch, case.positions, case.groups, -1))
        assert spoiled[0, :, group].all()
        spoiled[0, :, group] = False
        assert not spoiled.any()


def prove(kernels: Kernels, rng: np.random.Generator) -> None:
    """All that can be said of a library in a second or two: mutants must fail here."""
    for case in CASES:
        check_case(kernels, case, rng)
    check_nan_stays_in_its_group(kernels, CASES[3], rng)
    check_case(kernels, MANY_SPLITS, rng)


@pytest.fixture(scope="module")
def kernels(kernels_of: Callable[[str], Kernels]) -> Kernels:
    return kernels_of("group_norm_silu")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_agrees_with_float64(kernels: Kernels, case: Case) -> None:
    with harness.fresh() as rng:
        check_case(kernels, case, rng)


def test_more_splits_than_threads_in_a_warp(kernels: Kernels) -> None:
    with harness.fresh() as rng:
        made = tensors(kernels, MANY_SPLITS, rng)
        assert made.workspace.bytes == 34 * 32 * 8
        check_case(kernels, MANY_SPLITS, rng)


def test_random_shapes(kernels: Kernels) -> None:
    with harness.fresh() as rng:
        for _ in range(12):
            groups, each = int(rng.integers(1, 40)), int(rng.integers(1, 20))
            channels = groups * each
            second = int(rng.integers(channels)) if rng.random() < 0.4 else 0
            parts = "".join(part for part in "srwb" if rng.random() < 0.5)
            real = int(rng.choice([FLOAT32, FLOAT16]))
            batch, positions = int(rng.integers(1, 4)), int(rng.integers(1, 70))
            offset = float(rng.choice([0, 30, -300]))
            check_case(kernels, Case(batch, positions, channels, groups, second, parts, True, real, offset), rng)


@pytest.mark.parametrize("case", [CASES[3], CASES[5], CASES[10]], ids=str)
def test_a_nan_or_an_infinity_stays_in_its_group(kernels: Kernels, case: Case) -> None:
    with harness.fresh() as rng:
        check_nan_stays_in_its_group(kernels, case, rng)


def test_vectors_change_no_bit(kernels: Kernels) -> None:
    """This build is plain; the one that `codi_export.ops` makes uses all that the processor has."""
    with harness.fresh() as rng:
        made = tensors(kernels, Case(2, 300, 160, 32, parts="srwb", real=FLOAT32), rng)
        kernels.run("host", made.record())
        plain = made.out.array.tobytes()
        made.out.poison()
        library.call(made.record())
        assert made.out.array.tobytes() == plain


@pytest.mark.parametrize("alias", ["x", "residual"])
def test_in_place(kernels: Kernels, alias: str) -> None:
    with harness.fresh() as rng:
        made = tensors(kernels, Case(2, 300, 64, 8, parts="srwb"), rng)
        expected, limit = reference(made)
        before = made.given[alias].array.copy()
        for side in harness.both(kernels):
            made.given[alias].array[...] = before
            kernels.run(side, made.record(out=made.given[alias].address))
            assert (np.abs(made.given[alias].array - expected) <= limit).all()
            made.check()


ONE = Case(2, 6, 8, 2, parts="srwb")


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [
        ({"x": 0}, NULL, "x is null"),
        ({"out": 0}, NULL, "out is null"),
        ({"workspace": 0}, NULL, "workspace is null"),
        ({"second_channels": 4}, NULL, "second is null"),
        ({"batch": -2}, SIZE, "a size of out is -2"),
        ({"positions": 1 << 40}, SIZE, "more than 2^31 - 1 elements"),
        ({"positions": (1 << 61) + 1}, SIZE, "more than 2^31 - 1 elements"),
        ({"groups": 3}, SIZE, "8 channels in 3 groups"),
        ({"groups": 0}, SIZE, "8 channels in 0 groups"),
        ({"second_channels": 8}, SIZE, "second has 8 of 8 channels"),
        ({"type": 2}, TYPE, "type 2"),
        ({"epsilon": -1.0}, VALUE, "epsilon is -1"),
        ({"epsilon": float("nan")}, VALUE, "epsilon is nan"),
        ({"workspace_bytes": 31}, WORKSPACE, "the workspace has 31 bytes: expected 32"),
        ({"x": "out+2"}, OVERLAP, "out overlaps x without being it"),
        ({"shift": "out+0"}, OVERLAP, "out overlaps shift"),
        ({"workspace": "x+0"}, OVERLAP, "workspace overlaps x"),
        ({"weight": "out+1"}, ALIGNMENT, "weight is at"),
    ],
)
def test_bad_arguments_are_refused(kernels: Kernels, values: dict[str, Any], status: int, words: str) -> None:
    made = tensors(kernels, ONE, np.random.default_rng(0))
    addresses = {"out": made.out.address, "x": made.given["x"].address}
    for name, value in values.items():
        if isinstance(value, str):
            place, offset = value.split("+")
            values = {name: addresses[place] + int(offset)}
    made.out.poison()
    for side in harness.SIDES:
        assert kernels.call(side, made.record(**values)) == status
        assert kernels.message.startswith("group_norm_silu: ") and words in kernels.message
    assert np.isnan(made.out.array).all(), "a refused call wrote something"
    made.check()


def test_the_workspace_of_what_would_be_refused_is_minus_one(kernels: Kernels) -> None:
    made = tensors(kernels, replace(ONE, positions=0), np.random.default_rng(0))
    assert made.workspace.bytes == 0
    assert workspace_bytes(kernels, made.record(groups=3)) == -1

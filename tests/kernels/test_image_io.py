"""Host and CUDA image conversion: exact where nothing is interpolated, and Pillow's bicubic where something is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from codi_export.ops.records import FLOAT16, FLOAT32, NCHW, NHWC, ImageToTensor, Record, TensorToImage
from tests.kernels import harness
from tests.kernels.harness import Kernels, Memory

EPS32 = float(np.finfo(np.float32).eps)
NULL, SIZE, TYPE, ALIGNMENT, OVERLAP, VALUE = 2, 3, 4, 5, 6, 8


@dataclass(frozen=True)
class Case:
    batch: int
    height: int
    width: int
    channels: int = 3
    scale: tuple[float, float] = (1, 1)
    layout: int = NCHW
    real: int = FLOAT16
    gain: float = 2.0
    offset: float = -1.0
    unaligned: int = 0  # elements

    @property
    def out(self) -> tuple[int, int]:
        return int(self.height * self.scale[0]), int(self.width * self.scale[1])

    def shape(self, height: int, width: int) -> tuple[int, ...]:
        planar = self.batch, self.channels, height, width
        return planar if self.layout == NCHW else (self.batch, height, width, self.channels)


CASES = [
    *(Case(2, 5, 7, scale=(4, 4), layout=layout, real=real) for layout in (NCHW, NHWC) for real in (FLOAT32, FLOAT16)),
    *(Case(2, 9, 33, layout=layout, real=real) for layout in (NCHW, NHWC) for real in (FLOAT32, FLOAT16)),
    Case(1, 40, 70, scale=(4, 4), real=FLOAT32, gain=1.0, offset=0.0),  # more columns than a host tile
    Case(1, 1, 1, scale=(4, 4)),
    Case(1, 2, 3, channels=1, scale=(3, 5)),
    Case(1, 6, 5, channels=4, scale=(2.5, 1.2), layout=NHWC, real=FLOAT32),
    Case(1, 3, 300, channels=2, scale=(1, 2)),
    Case(3, 4, 4, scale=(4, 1), unaligned=1),
    Case(0, 4, 4),
    Case(1, 0, 4),
]


def image_of(case: Case, rng: np.random.Generator) -> Memory:
    size = (case.batch, case.height, case.width, case.channels)
    return Memory.of(rng.choice(np.array([0, 255, *range(256)], np.uint8), size), case.unaligned)


def to_tensor(case: Case, image: Memory, out: Memory, values: dict[str, Any] | None = None) -> ImageToTensor:
    sizes = {name: getattr(case, name) for name in ("batch", "height", "width", "channels", "gain", "offset", "layout")}
    more = {"out_height": case.out[0], "out_width": case.out[1], "type": case.real}
    return ImageToTensor(**sizes | more | {"image": image.address, "out": out.address} | (values or {}))


def to_image(case: Case, tensor: Memory, image: Memory, values: dict[str, Any] | None = None) -> TensorToImage:
    sizes = {name: getattr(case, name) for name in ("batch", "height", "width", "channels", "layout")}
    pointers = {"type": case.real, "tensor": tensor.address, "image": image.address}
    return TensorToImage(**sizes | pointers | (values or {}))


def bicubic_matrix(size: int, out: int) -> NDArray[np.float64]:
    """[out, size] for out >= size: Keys' cubic with a = -0.5 at half-pixel centres, rows summing to 1."""
    d = np.abs((np.arange(size) + 0.5)[None] - ((np.arange(out) + 0.5) * size / out)[:, None])
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    weight = np.where(d < 1, near, np.where(d < 2, far, 0.0))
    matrix: NDArray[np.float64] = weight / weight.sum(axis=1, keepdims=True)
    return matrix


def in_layout(case: Case, nhwc: NDArray[Any]) -> NDArray[Any]:
    return nhwc.transpose(0, 3, 1, 2) if case.layout == NCHW else nhwc


def reference(case: Case, image: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The tensor in float64, and how far float32 arithmetic and one rounding at the end may take another from it."""
    if image.size == 0:
        empty = np.zeros(case.shape(*case.out))
        return empty, empty
    rows, columns = (bicubic_matrix(size, out) for size, out in zip(image.shape[1:3], case.out, strict=True))
    level = np.einsum("yh,bhwc,xw->byxc", rows, image.astype(np.float64), columns)
    # A weight is a cubic of four roundings over a sum, and 16 products meet in two sums; |weights| sum to 1.3^2.
    roundings = 0 if case.scale == (1, 1) else 12 * 1.3**2
    value = level / 255 * case.gain + case.offset
    error = EPS32 * (abs(case.gain) * (roundings + np.abs(level) / 255) + np.abs(value))
    return in_layout(case, value), 1.5 * (in_layout(case, error) + harness.half_ulp(in_layout(case, value), case.real))


def check_case(kernels: Kernels, case: Case, rng: np.random.Generator) -> None:
    image = image_of(case, rng)
    dtype = harness.TYPES[case.real]
    out = Memory(case.shape(*case.out), dtype, case.unaligned * np.dtype(dtype).itemsize)
    expected, limit = reference(case, image.array)
    for side in harness.both(kernels):
        bits = []
        for _ in range(2):
            out.poison()
            kernels.run(side, to_tensor(case, image, out))
            out.check()
            image.check()
            assert (np.abs(out.array - expected) <= limit).all(), f"{side} {case}"
            bits.append(out.array.tobytes())
        assert bits[0] == bits[1], f"{side} {case}: two runs differ"


def check_back(kernels: Kernels, case: Case, rng: np.random.Generator) -> None:
    """Equal to the formula of `fuse.Decode` in float32, to the bit, at the limits and where the number is none."""
    dtype = harness.TYPES[case.real]
    values = rng.uniform(-1.2, 1.2, case.shape(case.height, case.width)).astype(dtype)
    special = np.array([-1, 1, 0, np.inf, -np.inf, 6e4, -6e4, 1e-7], dtype)
    values.ravel()[: special.size] = special[: values.size]
    tensor, image = Memory.of(values), Memory((case.batch, case.height, case.width, case.channels), np.uint8)
    clamped = values.astype(np.float32).clip(-1, 1)
    levels = np.floor((clamped + np.float32(1)) * np.float32(127.5) + np.float32(0.5)).clip(0, 255).astype(np.uint8)
    expected = levels.transpose(0, 2, 3, 1) if case.layout == NCHW else levels
    for side in harness.both(kernels):
        image.poison()
        kernels.run(side, to_image(case, tensor, image))
        image.check()
        np.testing.assert_array_equal(image.array, expected, err_msg=f"{side} {case}")


def prove(kernels: Kernels, rng: np.random.Generator) -> None:
    for case in CASES:
        check_case(kernels, case, rng)
        check_back(kernels, case, rng)
    check_nan(kernels)


@pytest.fixture(scope="module")
def kernels(kernels_of: Callable[[str], Kernels]) -> Kernels:
    return kernels_of("image_io")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_tensor_agrees_with_float64(kernels: Kernels, case: Case) -> None:
    with harness.fresh() as rng:
        check_case(kernels, case, rng)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_image_is_exact(kernels: Kernels, case: Case) -> None:
    with harness.fresh() as rng:
        check_back(kernels, case, rng)


def test_enlarges_as_pillow_does(kernels: Kernels) -> None:
    """Pillow rounds to float32 between its two passes, and again at the end."""
    case = Case(1, 17, 23, channels=1, scale=(4, 4), real=FLOAT32, gain=255.0, offset=0.0)
    with harness.fresh() as rng:
        image = image_of(case, rng)
        grey = Image.fromarray(image.array[0, :, :, 0].astype(np.float32))
        expected = np.asarray(grey.resize((92, 68), Image.Resampling.BICUBIC))
        for side in harness.both(kernels):
            out = Memory(case.shape(*case.out))
            kernels.run(side, to_tensor(case, image, out))
            np.testing.assert_allclose(out.array[0, 0], expected, rtol=0, atol=255 * 24 * EPS32)


def test_there_and_back_changes_nothing(kernels: Kernels) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    case = Case(1, 16, 16, channels=1, real=FLOAT16)
    for side in harness.both(kernels):
        tensor, image = Memory(case.shape(16, 16), np.float16), Memory(every.shape, np.uint8)
        kernels.run(side, to_tensor(case, Memory.of(every), tensor))
        kernels.run(side, to_image(case, tensor, image))
        np.testing.assert_array_equal(image.array, every)


def test_nan_becomes_black(kernels: Kernels) -> None:
    check_nan(kernels)


def check_nan(kernels: Kernels) -> None:
    case = Case(1, 2, 2, channels=1, real=FLOAT32)
    for side in harness.both(kernels):
        image = Memory((1, 2, 2, 1), np.uint8)
        kernels.run(side, to_image(case, Memory(case.shape(2, 2)), image))
        assert image.array.tolist() == np.zeros((1, 2, 2, 1)).tolist()


@pytest.mark.parametrize(
    ("op", "values", "status", "words"),
    [
        ("tensor", {"image": 0}, NULL, "image is null"),
        ("tensor", {"out": 0}, NULL, "out is null"),
        ("tensor", {"height": -3}, SIZE, "a size of image is -3"),
        ("tensor", {"channels": 5}, SIZE, "5 channels: expected 1 to 4"),
        ("tensor", {"out_width": 3}, SIZE, "expected no smaller picture"),
        ("tensor", {"out_width": 40000}, SIZE, "at most 32767"),
        ("tensor", {"height": 0}, SIZE, "from an empty one"),
        ("tensor", {"batch": 1 << 33}, SIZE, "more than 2^31 - 1 elements"),
        ("tensor", {"type": 4}, TYPE, "type 4"),
        ("tensor", {"layout": 2}, VALUE, "layout 2"),
        ("tensor", {"gain": float("nan")}, VALUE, "gain nan"),
        ("tensor", {"out": "image"}, OVERLAP, "out overlaps image"),
        ("tensor", {"out": "odd"}, ALIGNMENT, "out is at"),
        ("image", {"tensor": 0}, NULL, "tensor is null"),
        ("image", {"width": -1}, SIZE, "a size of image is -1"),
        ("image", {"channels": 0}, SIZE, "0 channels"),
        ("image", {"layout": -1}, VALUE, "layout -1"),
        ("image", {"image": "tensor"}, OVERLAP, "image overlaps tensor"),
    ],
)
def test_bad_arguments_are_refused(kernels: Kernels, op: str, values: dict[str, Any], status: int, words: str) -> None:
    case = Case(1, 4, 4)
    image, tensor = image_of(case, np.random.default_rng(0)), Memory(case.shape(4, 4), np.float16)
    places = {"image": image.address & -2, "odd": tensor.address + 1, "tensor": tensor.address}
    values = {name: places.get(value, value) for name, value in values.items()}
    before = image.array.copy()
    bad: Record = to_tensor(case, image, tensor, values) if op == "tensor" else to_image(case, tensor, image, values)
    for side in harness.SIDES:
        assert kernels.call(side, bad) == status
        assert kernels.message.startswith(f"{bad.op}: ") and words in kernels.message
    assert np.isnan(tensor.array).all() and (image.array == before).all(), "a refused call wrote something"

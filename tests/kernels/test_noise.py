"""Host and CUDA noise are the published bits, in any order of threads, and are normally distributed."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from codi_export.ops.records import FLOAT16, FLOAT32, Noise
from codi_export.runtime.noise import normal
from tests.kernels import harness
from tests.kernels.harness import Kernels, Memory

VECTORS: dict[str, Any] = json.loads((harness.ROOT / "tests/data/noise.json").read_text())
VERSION, NULL, SIZE, TYPE, ALIGNMENT = 1, 2, 3, 4, 5
WORD = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def kernels(kernels_of: Callable[[str], Kernels]) -> Kernels:
    return kernels_of("noise")


def record(memory: Memory, seed: int, shape: tuple[int, ...], **values: int) -> Noise:
    batch, channels, height, width = shape
    sizes = {"batch": batch, "channels": channels, "height": height, "width": width}
    return Noise(**{"seed": seed, "type": FLOAT32, "out": memory.address} | sizes | values)


def noise(kernels: Kernels, side: str, seed: int, shape: tuple[int, ...], **values: int) -> NDArray[Any]:
    memory = Memory(shape, harness.TYPES[values.get("type", FLOAT32)])
    kernels.run(side, record(memory, seed, shape, **values))
    memory.check()
    return memory.array


@pytest.mark.parametrize("vector", VECTORS["normal"])
def test_the_published_bits(kernels: Kernels, vector: dict[str, Any]) -> None:
    y, x = vector["origin"]
    for side in harness.both(kernels):
        out = noise(kernels, side, int(vector["seed"]), vector["shape"], image=vector["image_index"], y=y, x=x)
        assert [f"{bits:08x}" for bits in out.view(np.uint32).ravel()] == vector["float32_bits"]


def prove(kernels: Kernels, rng: np.random.Generator) -> None:
    for real in (FLOAT32, FLOAT16):
        seed, origin = int(rng.integers(2**63)) * 2 + 1, int(rng.integers(2**32))
        expected = normal(seed, (2, 3, 7, 50), (origin, 9), 4).astype(harness.TYPES[real])
        for side in harness.both(kernels):
            out = noise(kernels, side, seed, (2, 3, 7, 50), image=4, y=origin, x=9, type=real)
            np.testing.assert_array_equal(out.view(np.uint8), expected.view(np.uint8))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**64 - 1),
    shape=st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 9), st.integers(0, 70)),
    image=WORD,
    y=WORD,
    x=WORD,
    real=st.sampled_from([FLOAT32, FLOAT16]),
)
def test_the_bits_of_python(
    kernels: Kernels, seed: int, shape: tuple[int, int, int, int], image: int, y: int, x: int, real: int
) -> None:
    expected = normal(seed, shape, (y, x), image).astype(harness.TYPES[real])
    for side in harness.both(kernels):
        out = noise(kernels, side, seed, shape, image=image, y=y, x=x, type=real)
        np.testing.assert_array_equal(out.view(np.uint8), expected.view(np.uint8))


@pytest.mark.parametrize("flags", [("-O0",), ("-O3", "-march=native", "-ffp-contract=fast")])
def test_plain_cpp_includes_the_header(tmp_path: Path, flags: tuple[str, ...]) -> None:
    """Random123's known answers and ours, from a program that knows no CUDA and is free to fuse a*b + c."""
    source = tmp_path / "noise.cpp"
    source.write_text("""
        #include "noise/noise.h"
        #include <cinttypes>
        #include <cstdio>
        int main(int, char** argv) {
            uint64_t v[6];
            for (int i = 0; i < 6; ++i) sscanf(argv[i + 1], "%" SCNu64, v + i);
            const codi::Words counter = {{uint32_t(v[0]), uint32_t(v[1]), uint32_t(v[2]), uint32_t(v[3])}};
            const codi::Words words = codi::philox(counter, uint32_t(v[4]), uint32_t(v[5]));
            for (uint32_t word : words.word) printf("%08x ", word);
            for (uint32_t i = 0; i < 5000; ++i) printf("%08x ", codi::bits_as<uint32_t>(codi::normal(7, 0, 0, i, 3)));
        }""")
    program = tmp_path / "noise"
    command = [harness.compiler(), "-std=c++17", *flags, "-Wall", "-Wextra", "-Werror"]
    subprocess.run([*command, f"-I{harness.ROOT / 'kernels'}", source, "-o", program], check=True)
    expected = [f"{bits:08x}" for bits in normal(7, (1, 1, 5000, 1), (0, 3)).view(np.uint32).ravel()]
    for vector in VECTORS["philox"]:
        arguments = [str(int(word, 16)) for word in (*vector["counter"], *vector["key"])]
        words = subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout.split()
        assert words == [*vector["words"], *expected]


def moments_hold(z: NDArray[np.float64]) -> bool:
    """The first four moments of a standard normal, each within 3 of its standard errors."""
    n = z.size
    limits = (0, np.sqrt(1 / n)), (1, np.sqrt(2 / n)), (0, np.sqrt(15 / n)), (3, np.sqrt(96 / n))
    return all(abs((z**power).mean() - value) < 3 * error for power, (value, error) in enumerate(limits, start=1))


def test_moments_of_four_million(kernels: Kernels) -> None:
    assert moments_hold(noise(kernels, "host", 2024, (1, 4, 1024, 1024)).astype(np.float64).ravel())


def test_a_wrong_scale_is_caught(tmp_path: Path) -> None:
    """Words scaled by 2^-32 (1 - 2^-10), an error that the eye and a histogram miss."""
    copy = shutil.copytree(harness.ROOT / "kernels", tmp_path / "kernels")
    header = copy / "noise/noise.h"
    text = header.read_text()
    scale = "(1.0 / 4294967296.0)"
    assert scale in text
    header.write_text(text.replace(scale, "(0.9990234375 / 4294967296.0)"))
    wrong = Kernels(harness.compile_op("noise", tmp_path / "noise.so", copy))
    assert not moments_hold(noise(wrong, "host", 2024, (1, 4, 1024, 1024)).astype(np.float64).ravel())


@pytest.mark.parametrize(
    ("values", "status", "words"),
    [
        ({"bytes": 8}, VERSION, "the record has 8 bytes"),
        ({"out": 0}, NULL, "out is null"),
        ({"width": -1}, SIZE, "a size of out is -1"),
        ({"batch": 1 << 20, "channels": 1 << 20, "height": 1 << 20}, SIZE, "more than 2^31 - 1 elements"),
        ({"width": 1 << 62}, SIZE, "more than 2^31 - 1 elements"),
        ({"type": 7}, TYPE, "type 7: expected 0 (float32) or 1 (float16)"),
        ({"out": "odd"}, ALIGNMENT, "expected a multiple of 4"),
    ],
)
def test_bad_arguments_are_refused(kernels: Kernels, values: dict[str, Any], status: int, words: str) -> None:
    memory = Memory((1, 2, 3, 4))
    for side in harness.SIDES:
        bad = record(memory, 0, (1, 2, 3, 4))
        for name, value in values.items():
            setattr(bad, name, memory.address + 1 if value == "odd" else value)
        assert kernels.call(side, bad) == status
        assert "noise: " in kernels.message and words in kernels.message
    assert kernels.call("host", None, "noise") == NULL
    assert np.isnan(memory.array).all(), "a refused call wrote something"
    memory.check()

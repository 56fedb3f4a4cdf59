"""The host library is compiled once, is what its sources say, and its refusals become Python errors."""

import ctypes
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from codi_export.errors import CodiError, ErrorCode
from codi_export.ops import library
from codi_export.ops.records import Noise
from codi_export.runtime.noise import normal


@pytest.fixture
def fresh() -> Iterator[None]:
    """The library is looked for anew in this test, and in the next one."""
    library.load.cache_clear()
    yield
    library.load.cache_clear()


def noise_of(shape: tuple[int, int, int, int]) -> np.ndarray:
    out = np.empty(shape, np.float32)
    batch, channels, height, width = shape
    library.call(Noise(seed=5, batch=batch, channels=channels, height=height, width=width, out=out.ctypes.data))
    return out


def test_the_library_makes_noise() -> None:
    np.testing.assert_array_equal(noise_of((2, 3, 5, 7)), normal(5, (2, 3, 5, 7)))


def test_it_is_compiled_once() -> None:
    first = library.build()
    made = first.stat().st_mtime_ns
    assert library.build() == first and first.stat().st_mtime_ns == made


def test_other_sources_are_another_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    shown = '__attribute__((visibility("default")))'
    (tmp_path / "common/message.cpp").write_text(f'extern "C" {shown} int answer() {{ return 42; }}')
    monkeypatch.setattr(library, "sources", lambda: tmp_path)
    assert ctypes.CDLL(str(library.build())).answer() == 42


def test_a_refusal_is_an_error_in_the_kernel_s_words() -> None:
    with pytest.raises(ValueError, match=r"noise: a size of out is -1: expected at least 0"):
        library.call(Noise(batch=-1))


def test_what_is_compiled_on_first_use_is_for_the_cpu() -> None:
    with pytest.raises(CodiError, match=r"noise: .* has no cuda kernels") as caught:
        library.call(Noise(), "cuda")
    assert "CODI_KERNELS" in caught.value.hint


@pytest.mark.usefixtures("fresh")
def test_a_library_that_cmake_built_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    path = library.build()
    monkeypatch.setenv("CODI_KERNELS", str(path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert library.load()._name == str(path)


@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="would launch")
@pytest.mark.usefixtures("fresh")
def test_a_launch_without_a_gpu_is_refused(monkeypatch: pytest.MonkeyPatch, built: Path) -> None:
    """The CUDA kernels as nvcc compiles and links them; arguments are looked at first."""
    monkeypatch.setenv("CODI_KERNELS", str(built / "libcodi_kernels.so"))
    if not hasattr(library.load(), "codi_noise_cuda"):
        pytest.skip("needs nvcc: make .venv/.cuda")
    with pytest.raises(ValueError, match="noise: a size of out is -1"):
        library.call(Noise(batch=-1), "cuda")
    sizes = dict.fromkeys(("batch", "channels", "height", "width"), 1)
    with pytest.raises(ValueError, match=r"noise: .*CUDA"):
        library.call(Noise(**sizes, out=64), "cuda")


def test_the_interface_is_c(tmp_path: Path) -> None:
    program = tmp_path / "program.c"
    program.write_text('#include "codi_kernels.h"\nint main(void) { return (int)sizeof(struct codi_geglu); }\n')
    flags = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{library.sources()}")
    result = subprocess.run(["cc", *flags, program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(CodiError, match=r"no C\+\+ compiler") as caught:
        library.build()
    assert caught.value.code == ErrorCode.MISSING_PACKAGE and "CODI_KERNELS" in caught.value.hint


def test_sources_that_do_not_compile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "common").mkdir()
    (tmp_path / "common/message.cpp").write_text("this is no C++")
    monkeypatch.setattr(library, "sources", lambda: tmp_path)
    with pytest.raises(CodiError, match="do not compile") as caught:
        library.build()
    assert caught.value.code == ErrorCode.BACKEND

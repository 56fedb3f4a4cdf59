"""The header is C, the examples run on `mini`, and an application elsewhere finds the installed library."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.runtime.cpp.conftest import CPP, ROOT, onnxruntime_folder, run

PHOTO = ROOT / "tests/data/lr.png"


@pytest.fixture(scope="module")
def by_command(mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `codi-export run` makes of the photo."""
    target = tmp_path_factory.mktemp("command") / "large.png"
    command = ["run", str(mini), str(PHOTO), "-o", str(target), "--seed", "7", "--color-fix", "wavelet"]
    subprocess.run([sys.executable, "-m", "codi_export.cli.main", *command], check=True, capture_output=True, cwd=ROOT)
    return target


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_the_header_is_c(release: Path) -> None:
    run(release / "header")
    assert len((CPP / "include/codi.h").read_text().splitlines()) <= 150


def test_cpp_makes_the_image_that_the_command_makes(
    release: Path, mini: Path, by_command: Path, tmp_path: Path
) -> None:
    run(release / "codi/examples/upscale", mini, PHOTO, tmp_path / "out.png", "7", "wavelet")
    np.testing.assert_array_equal(pixels(tmp_path / "out.png"), pixels(by_command))


def test_c_makes_the_image_that_python_makes(release: Path, mini: Path, tmp_path: Path) -> None:
    run(release / "codi/examples/upscale-c", mini, PHOTO, tmp_path / "c.png")
    run(sys.executable, CPP / "examples/upscale.py", mini, PHOTO, tmp_path / "python.png")
    np.testing.assert_array_equal(pixels(tmp_path / "c.png"), pixels(tmp_path / "python.png"))


def test_a_stream_of_frames_allocates_nothing_of_ours(release: Path, mini: Path, tmp_path: Path) -> None:
    photo = np.asarray(Image.open(PHOTO).convert("RGBA").resize((70, 60)))[..., [2, 1, 0, 3]]
    (tmp_path / "frames").write_bytes(photo.tobytes() * 4)
    with (tmp_path / "frames").open("rb") as frames:
        done = subprocess.run(
            [release / "codi/examples/live", mini, "4", "70", "60"],
            stdin=frames,
            capture_output=True,
            env={"LD_PRELOAD": str(release / "liballocations.so"), "CODI_ONNXRUNTIME": str(onnxruntime_folder())},
        )
    assert done.returncode == 0, done.stderr
    assert b"allocations: libcodi 0, program 0," in done.stderr, done.stderr
    large = np.frombuffer(done.stdout, np.uint8).reshape(4, 240, 280, 4)
    assert all(np.array_equal(frame, large[0]) for frame in large), "one seed keeps the picture still"


@pytest.fixture(scope="module")
def prefix(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prefix")
    run("cmake", "--install", release / "codi", "--prefix", folder)
    return folder


def application(source: Path, prefix: Path, build: Path) -> Path:
    run("cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}")
    run("cmake", "--build", build)
    return build / "app"


def test_an_application_outside_finds_the_installed_library(prefix: Path, stub: Path, tmp_path: Path) -> None:
    program = application(CPP / "examples/consumer", prefix, tmp_path / "app")
    assert json.loads(run(program, stub).stdout)["graph"] == "sr-2step"


def test_what_the_readme_shows_is_a_project(prefix: Path, stub: Path, tmp_path: Path) -> None:
    text = (CPP / "README.md").read_text()
    (cmake,), (cpp,) = (re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL) for kind in ("cmake", "cpp"))
    assert len(cmake.splitlines()) <= 10
    assert len(cpp.splitlines()) <= 15
    (tmp_path / "CMakeLists.txt").write_text(cmake)
    (tmp_path / "main.cpp").write_text(cpp)
    program = application(tmp_path, prefix, tmp_path / "build")
    done = subprocess.run(
        [program], cwd=stub.parent, env={"CODI_ONNXRUNTIME": str(onnxruntime_folder())}, capture_output=True
    )
    assert done.returncode == 0, done.stderr


def test_pkg_config_finds_it_too(prefix: Path, tmp_path: Path) -> None:
    folder = next(prefix.rglob("codi.pc")).parent
    flags = run("pkg-config", "--cflags", "--libs", "codi", PKG_CONFIG_PATH=str(folder)).stdout.split()
    run("cc", "-o", tmp_path / "header", Path(__file__).parent / "header.c", *flags)
    run(tmp_path / "header", LD_LIBRARY_PATH=str(next(prefix.rglob("libcodi.so")).parent))


def test_it_cross_compiles_for_jetson(build: Callable[..., Path]) -> None:
    folder = build("aarch64", "aarch64-linux-gnu-g++", "file")
    described = run("file", "-L", folder / "codi/libcodi.so").stdout
    assert "ELF 64-bit LSB shared object, ARM aarch64" in described

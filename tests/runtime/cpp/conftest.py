"""The C++ runtime is built once for each way of building it, and again only where a source changed."""

import fcntl
import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests import fake_bundle

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
CPP = ROOT / "codi_export/runtime/cpp"
HEADERS = ROOT / ".venv/onnxruntime/include"

DEBUG = ("-DCMAKE_BUILD_TYPE=Debug", "-DCODI_EXAMPLES=OFF")
CLANG = ("-DCMAKE_C_COMPILER=clang", "-DCMAKE_CXX_COMPILER=clang++", "-DCMAKE_CXX_FLAGS=-O1 -fsanitize=fuzzer-no-link")
OPTIONS: dict[str, tuple[str, ...]] = {
    "release": (),
    "address": (*DEBUG, *CLANG, "-DCODI_SANITIZE=address,undefined", "-DCODI_FUZZ=ON"),
    "thread": (*DEBUG, "-DCMAKE_CXX_FLAGS=-O1", "-DCODI_SANITIZE=thread"),
    "aarch64": ("-DCODI_EXAMPLES=OFF", f"-DCMAKE_TOOLCHAIN_FILE={CPP / 'aarch64.cmake'}"),
}
TARGETS: dict[str, tuple[str, ...]] = {
    "address": ("survive", "fuzz_manifest", "fuzz_safetensors"),
    "thread": ("survive",),
    "aarch64": ("codi",),
}


def run(*command: str | Path, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program with the Python package's ONNX Runtime; what it wrote is in the failure."""
    variables = {"CODI_ONNXRUNTIME": str(onnxruntime_folder()), **os.environ, **environment}
    done = subprocess.run(
        [str(part) for part in command], env=variables, capture_output=True, text=True, errors="replace"
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-8000:]}"
    return done


def onnxruntime_folder() -> Path:
    spec = find_spec("onnxruntime")
    assert spec and spec.origin
    return Path(spec.origin).parent / "capi"


@functools.cache
def built(variant: str) -> Path:
    """The folder that holds the programs and libraries of a way of building."""
    folder = ROOT / "build" / f"cpp-{variant}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be building it
        run("cmake", "-S", HERE, "-B", folder, "-G", "Ninja", f"-DONNXRUNTIME_INCLUDE={HEADERS}", *OPTIONS[variant])
        run("cmake", "--build", folder, *(["--target", *TARGETS[variant]] if variant in TARGETS else []))
    return folder


def require(*tools: str) -> None:
    missing = [tool for tool in ("cmake", "ninja", "c++", *tools) if not shutil.which(tool)]
    if missing or not HEADERS.is_dir():
        pytest.skip(f"needs {', '.join(missing) or 'make .venv/.onnxruntime-headers'}")


@pytest.fixture(scope="session")
def build() -> Callable[..., Path]:
    """`build("release")`: its folder. Skips where a tool that it takes is missing."""

    def folder(variant: str, *tools: str) -> Path:
        require(*tools)
        return built(variant)

    return folder


@pytest.fixture(scope="session")
def release(build: Callable[..., Path]) -> Path:
    return build("release")


@pytest.fixture(scope="session")
def stub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose graph only repeats pixels and adds noise: 16 x 16 to 64 x 64."""
    folder = tmp_path_factory.mktemp("stub") / "sr-2step"
    fake_bundle.write(folder)
    return folder


@pytest.fixture(scope="session")
def mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `sr` bundle of the embedded default, with one step."""
    folder = tmp_path_factory.mktemp("mini") / "sr-1step"
    command = [sys.executable, "-m", "codi_export.cli.main", "build", "--task", "sr", "--steps", "1", "-o", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
    return folder

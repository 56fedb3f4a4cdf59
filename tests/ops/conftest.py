"""The libraries as CMake builds them on a device, with CUDA kernels where there is nvcc."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADERS = ROOT / ".venv/onnxruntime/include"
CUDA = Path(sysconfig.get_path("purelib"), "nvidia/cu13")


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of libcodi_kernels.so and of libcodi_onnxruntime.so, against ONNX Runtime's own headers."""
    if not HEADERS.is_dir() or shutil.which("cmake") is None:
        pytest.skip("needs cmake, and ONNX Runtime's headers: make .venv/.onnxruntime-headers")
    build = tmp_path_factory.mktemp("cmake")
    cuda = [f"-DCMAKE_CUDA_COMPILER={CUDA}/bin/nvcc", "-DCMAKE_CUDA_ARCHITECTURES=87"]
    options = [*(cuda if (CUDA / "bin/nvcc").exists() else ["-DCODI_CUDA=OFF"]), f"-DONNXRUNTIME_INCLUDE={HEADERS}"]
    environment = os.environ | {"LIBRARY_PATH": f"{CUDA}/lib"}  # packages have it where nvcc does not look
    for command in (["cmake", "-S", ROOT / "kernels", "-B", build, *options], ["cmake", "--build", build]):
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    return build


@pytest.fixture(scope="session")
def onnxruntime_library(built: Path) -> Path:
    return built / "libcodi_onnxruntime.so"

"""The libraries as CMake builds them on a device, without CUDA."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEADERS = ROOT / ".venv/onnxruntime/include"


@pytest.fixture(scope="session")
def onnxruntime_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """libcodi_onnxruntime.so, built against ONNX Runtime's own headers."""
    if not HEADERS.is_dir() or shutil.which("cmake") is None:
        pytest.skip("needs cmake, and ONNX Runtime's headers: make .venv/.onnxruntime-headers")
    build = tmp_path_factory.mktemp("cmake")
    options = ["-DCODI_CUDA=OFF", f"-DONNXRUNTIME_INCLUDE={HEADERS}"]
    for command in (["cmake", "-S", ROOT / "kernels", "-B", build, *options], ["cmake", "--build", build]):
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
    return build / "libcodi_onnxruntime.so"

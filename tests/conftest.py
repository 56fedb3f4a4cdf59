"""Rules for every test: no network, hardware markers, and CODI_REQUIRE=all, where a skip is a failure."""

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ["HF_HUB_OFFLINE"] = "1"  # a test that needs a download is a wrong test
os.environ["TRITON_INTERPRET"] = "1"  # on the CPU; Triton reads it when it is first imported, by whomever
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers already fill the cores

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # speed is judged in benchmarks, and a busy machine is no fault of the code

ROOT = Path(__file__).parents[1]
HEADERS = ROOT / ".venv/onnxruntime/include"
REQUIRE_ALL = os.environ.get("CODI_REQUIRE") == "all"
ABSENT = {  # marker -> why its tests cannot run here, or nothing
    "gpu": "" if shutil.which("nvidia-smi") else "no NVIDIA GPU",
    "trt": "" if importlib.util.find_spec("tensorrt") else "TensorRT is not installed",
}


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """Builds share what they trace, but never the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CODI_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for marker, reason in ABSENT.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, pytest.TestReport]:
    report: pytest.TestReport = yield
    needs_hardware = any(item.get_closest_marker(marker) for marker in ABSENT)
    if REQUIRE_ALL and report.skipped and not hasattr(report, "wasxfail") and not needs_hardware:
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, Any, pytest.CollectReport]:
    report: pytest.CollectReport = yield
    if REQUIRE_ALL and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"CODI_REQUIRE=all, and this was skipped: {reason}"

"""What nvcc makes of the kernels, read from ptxas and from the machine code: no GPU is needed for that."""

import re
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kernels import harness

TOOLS = Path(sysconfig.get_path("purelib"), "nvidia/cu13/bin")
OPS = ("geglu", "group_norm_silu", "image_io", "noise", "sampler_step")
ARCHITECTURES = (75, 80, 86, 87, 89, 90, 100, 110, 120)
# Two blocks of 256 threads on a multiprocessor of 65,536 registers, at least; four where a thread's work is short.
REGISTERS = {"group_norm_silu": 128} | dict.fromkeys(("geglu", "image_io", "noise", "sampler_step"), 64)
PACKED = re.compile(r"float16ELi8E|IfLi4E")  # in the mangled name of a kernel that moves 16 bytes at a time
LOAD, STORE, LOCAL = (re.compile(rf"\b{op}[.\w]*") for op in (r"LDG[.\w]*\.128", r"STG[.\w]*\.128", r"(?:LDL|STL)"))


@dataclass
class Kernel:
    registers: int
    spilled: int  # bytes
    stack: int  # bytes
    code: str = ""


def compiled(op: str, sm: int, folder: Path) -> dict[str, Kernel]:
    """An op's kernels by their mangled names."""
    if not (TOOLS / "nvcc").exists():
        pytest.skip("needs nvcc: make .venv/.cuda")
    source, cubin = harness.ROOT / f"kernels/{op}/{op}.cu", folder / f"{op}.cubin"
    command = [TOOLS / "nvcc", "-std=c++17", "-cubin", f"-arch=sm_{sm}", "-Xptxas", "-v", "-Werror", "all-warnings"]
    result = subprocess.run([*command, source, "-o", cubin], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    report = re.compile(
        r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
        r".*?Used (\d+) registers",
        re.DOTALL,
    )
    found = {
        name: Kernel(int(registers), int(stores) + int(loads), int(stack))
        for name, stack, stores, loads, registers in report.findall(result.stderr)
    }
    listing = subprocess.run([TOOLS / "nvdisasm", "-c", cubin], check=True, capture_output=True, text=True).stdout
    for section in listing.split("\t.section\t.text.")[1:]:
        found[section.split(",")[0]].code = section
    return found


@pytest.mark.parametrize("op", OPS)
@pytest.mark.parametrize("sm", ARCHITECTURES)
def test_registers_hold_everything_and_packs_move_at_once(op: str, sm: int, tmp_path: Path) -> None:
    kernels = compiled(op, sm, tmp_path)
    assert kernels
    for name, kernel in kernels.items():
        assert kernel.code, f"no code for {name}"
        assert (kernel.spilled, kernel.stack) == (0, 0) and not LOCAL.search(kernel.code), f"{name} uses local memory"
        assert kernel.registers <= REGISTERS[op], f"{name} uses {kernel.registers} registers"
        if PACKED.search(name):
            assert LOAD.search(kernel.code), f"{name} loads no 16 bytes at once"
            assert STORE.search(kernel.code) or "moments" in name, f"{name} stores no 16 bytes at once"
    if op in ("geglu", "group_norm_silu", "sampler_step"):
        assert sum(bool(PACKED.search(name)) for name in kernels) == (4 if op == "group_norm_silu" else 2)


def test_nothing_of_cuda_is_newer_than_jetpack_6() -> None:
    """JetPack 6 has CUDA 12.6, which no package here brings; each of these has been there since long before."""
    known = {"cudaError_t", "cudaGetErrorString", "cudaLaunchKernel", "cudaStream_t", "cudaSuccess"}
    sources = [path for path in (harness.ROOT / "kernels").rglob("*") if path.suffix in (".h", ".cu")]
    used = {name for path in sources for name in re.findall(r"\bcuda[A-Z]\w+", path.read_text())}
    assert used == known


def test_onnxruntime_s_cuda_ops_compile(tmp_path: Path) -> None:
    headers = harness.ROOT / ".venv/onnxruntime/include"
    if not headers.is_dir():
        pytest.skip("needs ONNX Runtime's headers: make .venv/.onnxruntime-headers")
    command = [harness.compiler(), "-std=c++17", "-fsyntax-only", "-Wall", "-Werror", "-DORT_API_MANUAL_INIT"]
    source = harness.ROOT / "kernels/onnxruntime/ops.cpp"
    result = subprocess.run([*command, "-DCODI_CUDA", f"-isystem{headers}", source], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr

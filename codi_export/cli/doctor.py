"""codi-export doctor"""

import importlib.util
import platform
import shutil
from pathlib import Path
from typing import Any

import click

from codi_export import doctor as nvidia
from codi_export import machine, registry, runtime
from codi_export.cli import terminal
from codi_export.cli.list import models
from codi_export.doctor import Nvidia
from codi_export.errors import CodiError
from codi_export.records import to_json

PACKAGES = {
    "base": ("click", "numpy", "onnxruntime", "pillow", "safetensors"),
    "export": ("torch", "diffusers", "transformers", "accelerate", "onnx", "onnx-ir", "onnxscript"),
    "flax": ("msgpack", "tensorstore"),
    "openvino": ("openvino",),
}
PURPOSES = {"export": "to build bundles", "flax": "to import Flax checkpoints", "openvino": "to run faster on x86 CPUs"}
COMPILERS = ("c++", "g++", "clang++", "nvcc")
MISSING = "-"


@click.command(epilog="Example: codi-export doctor --json")
@terminal.json_option
def doctor(as_json: bool) -> None:
    """What exists here, what is missing and how to get it."""
    report = examine()
    if as_json:
        terminal.print_json(report)
        return
    click.echo(f"python      {report['python']} on {report['platform']}")
    for extra, packages in report["packages"].items():
        click.echo(f"{extra:<10}  {', '.join(f'{name} {found or MISSING}' for name, found in packages.items())}")
    for kind in ("providers", "compilers", "models"):
        click.echo(f"{kind:<10}  {', '.join(report[kind]) or MISSING}")
    for what, line in report["embed"].items():
        click.echo(f"{f'c++ {what}':<10}  {line}")
    click.echo(f"nvidia      {_nvidia_line(Nvidia(**report['nvidia']))}")
    for item in report["problems"]:
        click.echo(f"problem     {item['what']}: {item['command']}")
    for item in report["missing"]:
        click.echo(f"missing     {item['name']}: {item['hint']}")


def examine() -> dict[str, Any]:
    """The report as JSON values; a package that is not installed has version None."""
    packages = {extra: {name: machine.version(name) for name in names} for extra, names in PACKAGES.items()}
    here, found = providers(), nvidia.examine()
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "providers": here,
        "compilers": [name for name in COMPILERS if shutil.which(name)],
        "models": list(models()),
        "embed": embed(),
        "nvidia": to_json(found),
        "problems": [to_json(problem) for problem in nvidia.problems(found)],
        "missing": _missing(packages, here),
    }


def _nvidia_line(found: Nvidia) -> str:
    """One line, also where there is nothing."""
    if found.kind == "none":
        return "no GPU: bundles run on the CPU; engines can be built ahead of time (finalize --target)"
    memory = f"{terminal.size(found.free_bytes)} of {terminal.size(found.memory_bytes)} free"
    said = {
        "SM": str(found.sm), "driver": found.driver, "JetPack": found.jetpack, "L4T": found.l4t, "CUDA": found.cuda,
        "TensorRT": found.tensorrt or "absent", "mode": found.power_mode, "clocks": found.clocks,
        "swap": terminal.size(found.swap_bytes) if found.kind == "jetson" else "",
    }  # fmt: skip
    return ", ".join([found.device, *(f"{name} {value}" for name, value in said.items() if value), memory])


def embed() -> dict[str, str]:
    """How to build the C and C++ library from the sources here, and how a program finds ONNX Runtime."""
    build = f"cmake -S {Path(runtime.__file__).parent / 'cpp'} -B codi-build"
    steps = {"build": f"{build} && cmake --build codi-build && cmake --install codi-build"}
    package = importlib.util.find_spec("onnxruntime")
    if package and package.origin:
        steps["run"] = f"CODI_ONNXRUNTIME={Path(package.origin).parent / 'capi'}"
    return steps


def providers() -> list[str]:
    """What onnxruntime can run on here; empty without onnxruntime."""
    try:
        return list(registry.get("backends", "onnxruntime").providers())
    except CodiError:
        return []


def _missing(packages: dict[str, dict[str, str | None]], here: list[str]) -> list[dict[str, str]]:
    lacking = {extra: [name for name, found in rows.items() if not found] for extra, rows in packages.items()}
    missing = []
    if "cpu" not in here:
        missing.append({"name": "onnxruntime (to run bundles)", "hint": "pip install onnxruntime"})
    for extra, purpose in PURPOSES.items():
        if lacking[extra]:
            names = ", ".join(lacking[extra])
            missing.append({"name": f"{names} ({purpose})", "hint": f"pip install 'codi-export[{extra}]'"})
    if "cuda" not in here:
        missing.append(
            {"name": "the cuda provider (to run on an NVIDIA GPU)", "hint": "pip install 'codi-export[gpu]'"}
        )
    return missing

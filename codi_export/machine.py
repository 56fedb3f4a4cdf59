"""What one must know of a machine to repeat a measurement."""

import datetime
import os
import platform
import re
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "torch", "diffusers", "onnx")


def conditions() -> dict[str, Any]:
    """Date, processor, cores, Python, and the versions of the packages that are installed."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := version(name))},
    }


def processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The model name that Linux gives, else the architecture."""
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def others_at_work(
    seconds: float = 0.5, stat: Path = Path("/proc/stat"), pause: Callable[[float], object] = time.sleep
) -> float | None:
    """How many cores other processes keep busy, over the next `seconds`; None on systems that do not tell."""
    if not stat.is_file():
        return None
    before, began = _busy(stat) - time.process_time(), time.monotonic()
    pause(seconds)
    after, ended = _busy(stat) - time.process_time(), time.monotonic()
    return max(0.0, after - before) / max(ended - began, seconds)


def _busy(stat: Path) -> float:
    """Core seconds since the machine started that were neither idle nor waiting for a disk."""
    _, user, nice, system, _, _, *rest = stat.read_text().split("\n", 1)[0].split()
    irq, softirq, steal = (int(value) for value in rest[:3])
    return (int(user) + int(nice) + int(system) + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def memory(root: Path = Path("/")) -> tuple[int, int, int]:
    """Total, available and swap, in bytes, by /proc/meminfo; 0 for what it does not say."""
    found = dict(re.findall(r"^(\w+): +(\d+) kB", read(root / "proc/meminfo"), re.MULTILINE))
    total, free, swap = (1024 * int(found.get(name, 0)) for name in ("MemTotal", "MemAvailable", "SwapTotal"))
    return total, free, swap


def read(path: Path) -> str:
    """A file of the system's; empty where it is absent or may not be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def peak_bytes() -> int:
    """The most that this process has had resident. Not `getrusage`, whose figure a child has from its parent."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])


def version(package: str) -> str | None:
    """Installed version, from metadata: nothing is imported."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None

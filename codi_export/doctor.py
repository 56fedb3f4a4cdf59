"""What there is of NVIDIA's here, what is wrong with it for us, and the command that mends it."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from codi_export import machine
from codi_export.profile.sensors import jetson

Ask = Callable[..., str]  # a program and its arguments -> what it prints; "" if it is absent or fails

# L4T (Jetson Linux) -> the JetPack that it is part of; NVIDIA's JetPack archive.
JETPACKS = {
    "35": "5", "36.2": "6.0", "36.3": "6.0", "36.4.0": "6.1", "36.4.3": "6.2", "36.4.4": "6.2.1", "38.2": "7.0",
    "38.4": "7.1",
}  # fmt: skip
OLDEST_JETPACK = 6  # its TensorRT, 10.3, is the first with strongly typed networks as we build them
OLDEST_DRIVERS = {"12": 525, "13": 580}  # CUDA -> driver, from the CUDA release notes
GIB = 2**30
LITTLE = 8 * GIB  # where building an engine needs swap
SWAP = "sudo fallocate -l 8G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile && sudo swapon /swapfile"


@dataclass(frozen=True, slots=True)
class Nvidia:
    """`kind`: "jetson", "gpu" or "none"; whatever could not be found out is empty or 0. `clocks`: "fixed" if they stay
    at their maximum, "floating" if they follow the load."""

    kind: str
    device: str = ""
    sm: int = 0
    driver: str = ""
    l4t: str = ""
    jetpack: str = ""
    cuda: str = ""
    tensorrt: str = ""
    power_mode: str = ""
    clocks: str = ""
    memory_bytes: int = 0
    free_bytes: int = 0
    swap_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and the command that mends it."""

    what: str
    command: str


def ask(*command: str) -> str:
    """What a program prints; nothing if it is absent or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (subprocess.SubprocessError, OSError):
        return ""


def examine(root: Path = Path("/"), ask: Ask = ask) -> Nvidia:
    """Look at this machine, or at a copy of its files under `root`."""
    common = Nvidia("none", cuda=cuda(root, ask), tensorrt=tensorrt(ask))
    release = machine.read(root / "etc/nv_tegra_release")
    if release:
        l4t = (jetson.l4t(release) or "").removeprefix("L4T ")
        total, free, swap = machine.memory(root)
        return replace(
            common,
            kind="jetson",
            device=machine.read(root / "proc/device-tree/model").strip("\0\n "),
            sm=87 if l4t.startswith(("35", "36")) else 110,
            l4t=l4t,
            jetpack=jetpack(l4t),
            power_mode=jetson.power_mode(ask("nvpmodel", "-q")) or "",
            clocks=clocks(root),
            memory_bytes=total,
            free_bytes=free,
            swap_bytes=swap,
        )
    query = "--query-gpu=name,compute_cap,driver_version,memory.total,memory.free"
    card = smi(ask("nvidia-smi", query, "--format=csv,noheader,nounits"))
    if card is None:
        return common
    name, sm, driver, total, free = card
    return replace(common, kind="gpu", device=name, sm=sm, driver=driver, memory_bytes=total, free_bytes=free)


def problems(found: Nvidia, root: Path = Path("/")) -> Iterator[Problem]:
    """What keeps an engine from being built or from running as fast as it could."""
    if found.kind == "jetson":
        yield from _jetson_problems(found, root)
    if found.kind == "gpu":
        yield from _card_problems(found)
    if found.kind != "none" and not machine.version("cuda-bindings"):
        yield Problem("CUDA's bindings are missing: engines cannot run", "pip install cuda-bindings")


def _jetson_problems(found: Nvidia, root: Path) -> Iterator[Problem]:
    major = int(found.jetpack.partition(".")[0] or 0)
    if 0 < major < OLDEST_JETPACK:
        yield Problem(f"JetPack {found.jetpack} is older than {OLDEST_JETPACK}.1", "sdkmanager --cli # flash 6.2")
    if not found.tensorrt:
        yield Problem("TensorRT is not installed", "sudo apt-get install nvidia-jetpack")
    elif not machine.version("tensorrt"):
        yield Problem("this Python does not see JetPack's TensorRT", "python3 -m venv --system-site-packages .venv")
    modes = power_modes(machine.read(root / "etc/nvpmodel.conf"))
    fastest = next((name for name in modes if name.startswith("MAXN")), "")
    if fastest and found.power_mode and found.power_mode != fastest:
        yield Problem(f"power mode {found.power_mode}, not {fastest}", f"sudo nvpmodel -m {modes[fastest]}")
    if found.clocks == "floating":
        yield Problem("clocks follow the load, so latency varies", "sudo jetson_clocks")
    if found.memory_bytes <= LITTLE and found.swap_bytes < found.memory_bytes:
        yield Problem(f"{found.swap_bytes / GIB:.1f} GiB of swap: building an engine may need more", SWAP)
    if found.free_bytes < found.memory_bytes / 2:
        free = f"{found.free_bytes / GIB:.1f} of {found.memory_bytes / GIB:.1f} GiB"
        yield Problem(f"{free} of memory are free; a desktop takes 1 to 2", "sudo systemctl isolate multi-user.target")


def _card_problems(found: Nvidia) -> Iterator[Problem]:
    if not found.tensorrt and not machine.version("tensorrt-rtx-cu13"):
        yield Problem("neither TensorRT nor TensorRT-RTX is installed", "pip install 'codi-export[tensorrt-rtx]'")
    needed = OLDEST_DRIVERS.get(found.cuda.partition(".")[0], 0)
    if needed > int(found.driver.partition(".")[0] or needed):
        package = f"nvidia-driver-{needed}"
        yield Problem(f"driver {found.driver} is older than CUDA {found.cuda} needs", f"sudo apt-get install {package}")


def jetpack(l4t: str) -> str:
    """ "36.4.3" -> "6.2"; empty for a release that is not in the table."""
    known = [release for release in JETPACKS if f"{l4t}.".startswith(f"{release}.")]
    return JETPACKS[max(known, key=len)] if known else ""


def smi(text: str) -> tuple[str, int, str, int, int] | None:
    """One line of nvidia-smi: name, compute capability, driver, total and free bytes; None where it knows no GPU."""
    fields = [field.strip() for field in (text.splitlines() or [""])[0].split(",")]
    if len(fields) != 5 or not re.fullmatch(r"\d+\.\d", fields[1]):
        return None
    name, capability, driver, total, free = fields
    return name, int(capability.replace(".", "")), driver, _mebibytes(total), _mebibytes(free)


def cuda(root: Path, ask: Ask) -> str:
    """The toolkit's version: JetPack's file, or nvcc."""
    try:
        return str(json.loads(machine.read(root / "usr/local/cuda/version.json"))["cuda"]["version"])
    except (ValueError, KeyError, TypeError):
        found = re.search(r"release ([\d.]+)", ask("nvcc", "--version"))
        return found[1] if found else ""


def tensorrt(ask: Ask) -> str:
    """The Python package's version, or that of Debian's library package, "10.3.0.30-1+cuda12.5"."""
    found = re.search(r"^(\d+\.\d+[\d.]*)", ask("dpkg-query", "--show", "--showformat=${Version}", "libnvinfer10"))
    return machine.version("tensorrt") or (found[1] if found else "")


def power_modes(text: str) -> dict[str, int]:
    """/etc/nvpmodel.conf: the name of each mode -> its number."""
    found = re.findall(r"^< *POWER_MODEL +ID=(\d+) +NAME=(\S+) *>", text, re.MULTILINE)
    return {name: int(number) for number, name in found}


def clocks(root: Path) -> str:
    """Whether the GPU's clock may fall: jetson_clocks raises its minimum to its maximum."""
    for folder in sorted(root.glob("sys/class/devfreq/*gpu*")):
        lowest, highest = machine.read(folder / "min_freq").strip(), machine.read(folder / "max_freq").strip()
        if lowest and highest:
            return "fixed" if lowest == highest else "floating"
    return ""


def _mebibytes(text: str) -> int:
    return int(text) * 2**20 if text.isdecimal() else 0

"""A Jetson's own sensors: `tegrastats`, jetson-stats where that is absent, else the INA monitors' files.

The lines of `tegrastats` differ by JetPack: rails without a unit (4), in mW (5 and later) with their average and, from
7 on, a maximum behind it; temperature names in capitals or small letters, from 7 on with a maximum; clocks of one or of
several GPU clusters, or none. All of it is matched by form, not by name.
"""

import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from codi_export import machine
from codi_export.profile.result import Reading
from codi_export.profile.sensors import Facts, Sensor

INTERVAL_MS = 100
WHOLE = ("total", "VDD_IN", "POM_5V_IN", "VIN")  # rails that feed the whole module; else all rails are added up
MIB = 2**20

_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (-?\d+)(?:mW(?:/-?\d+mW)*|/\d+)(?![\w/.])")
_TEMPERATURE = re.compile(r"\b(\w+)@(-?\d+(?:\.\d+)?)C\b")
_CLOCK = re.compile(r"\b(GR3D|EMC)_FREQ (?:\d+%)?@\[?(\d+)")
_CORES = re.compile(r"\bCPU \[[^\]]*\](?:@\d+)?")
_MEMORY = re.compile(r"\bRAM (\d+)/(\d+)MB")
_UNUSED = -256.0  # degrees, of a zone that is off


def find(root: Path = Path("/"), start: Callable[[], "Lines"] | None = None) -> list[Sensor]:
    """The sensor of a Jetson, or none on another machine."""
    release = machine.read(root / "etc/nv_tegra_release")
    if not release:
        return []
    facts = Facts(
        name=machine.read(root / "proc/device-tree/model").strip("\0\n ") or None,
        kind="jetson",
        driver=l4t(release),
        power_mode=power_mode(_nvpmodel()),
        max_clocks_mhz=_maximum(root),
    )
    lines = start() if start else Lines.of_tegrastats()
    if lines:
        return [Sensor("tegrastats", facts, lambda: parse(lines.last()), lines.close)]
    if jtop := _jtop():
        return [Sensor("jetson-stats", facts, lambda: from_jtop(jtop), jtop.close)]
    return [Sensor("ina3221", facts, lambda: Reading(0.0, power_mw=ina_rails(root)))]


def parse(line: str) -> Reading:
    """One line of `tegrastats`. Clocks in MHz by "gpu", "memory" and "cpu" (mean of the cores that are on)."""
    clocks = {{"GR3D": "gpu", "EMC": "memory"}[name]: float(value) for name, value in _CLOCK.findall(line)}
    cores = _CORES.search(line)
    megahertz = [float(value) for value in re.findall(r"@(\d+)", cores[0] if cores else "")]
    if megahertz:
        clocks["cpu"] = sum(megahertz) / len(megahertz)
    degrees = {name.lower(): float(value) for name, value in _TEMPERATURE.findall(line)}
    memory = _MEMORY.search(line)
    rest = _CORES.sub("", line)
    return Reading(
        0.0,
        clocks_mhz=clocks,
        temperatures_c={name: value for name, value in degrees.items() if value > _UNUSED and name != "pmic"},
        power_mw={name: float(value) for name, value in _RAIL.findall(rest)},
        device_bytes=int(memory[1]) * MIB if memory else None,
    )


def total_rails(power_mw: Mapping[str, float]) -> tuple[str, ...]:
    """The rails whose sum is what the module draws."""
    whole = [name for name in WHOLE if name in power_mw]
    return (whole[0],) if whole else tuple(power_mw)


def l4t(release: str) -> str | None:
    """`# R36 (release), REVISION: 4.3, …` -> `L4T 36.4.3`."""
    found = re.search(r"R(\d+) \(release\), REVISION: ([\d.]+)", release)
    return f"L4T {found[1]}.{found[2]}" if found else None


def power_mode(said: str) -> str | None:
    """The name of the mode in what `nvpmodel -q` prints: `NV Power Mode: MAXN`."""
    found = re.search(r"NV Power Mode: *(\S+)", said)
    return found[1] if found else None


def ina_rails(root: Path) -> dict[str, float]:
    """Milliwatts by rail, from the INA3221's files: JetPack 4's driver gives power, later ones volts and amperes."""
    rails = {}
    for label in sorted(root.glob("sys/bus/i2c/drivers/ina3221x/*/iio:device*/rail_name_*")):
        value = machine.read(label.with_name(f"in_power{label.name[-1]}_input"))
        if value.strip():
            rails[machine.read(label).strip()] = float(value)
    for label in sorted(root.glob("sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/in[0-9]_label")):
        channel = label.name[2]
        volts, amperes = (machine.read(label.with_name(f"{kind}{channel}_input")).strip() for kind in ("in", "curr"))
        if volts and amperes:
            rails[machine.read(label).strip()] = float(volts) * float(amperes) / 1000
    return rails


def from_jtop(jetson: Any) -> Reading:
    """jetson-stats 4: `power` has milliwatts by rail, `temperature` degrees, `gpu` and `cpu` kHz, `memory` kB.

    Raises OSError when its service has gone.
    """
    if not jetson.ok():
        raise OSError("the jtop service does not answer")
    gpus = [gpu["freq"]["cur"] / 1000 for gpu in jetson.gpu.values() if "freq" in gpu]
    clocks = {"gpu": gpus[0]} if gpus else {}
    cores = [core["freq"]["cur"] / 1000 for core in jetson.cpu.get("cpu", []) if core.get("online") and "freq" in core]
    if cores:
        clocks["cpu"] = sum(cores) / len(cores)
    power = jetson.power
    return Reading(
        0.0,
        clocks_mhz=clocks,
        temperatures_c={
            name: float(zone["temp"]) for name, zone in jetson.temperature.items() if zone["temp"] > _UNUSED
        },
        power_mw={name: float(rail["power"]) for name, rail in power["rail"].items()}
        | ({"total": float(power["tot"]["power"])} if power.get("tot", {}).get("power") is not None else {}),
        device_bytes=int(jetson.memory["RAM"]["used"]) * 1024,
    )


class Lines:
    """The newest line that a program printed."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process, self._last, self._first = process, "", threading.Event()
        threading.Thread(target=self._follow, daemon=True).start()

    @classmethod
    def of_tegrastats(cls) -> "Lines | None":
        """Started, or None where there is none."""
        command = shutil.which("tegrastats")
        if command is None:
            return None
        arguments = [command, "--interval", str(INTERVAL_MS)]
        return cls(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))

    def last(self) -> str:
        """Waits for the first. Raises OSError once the program has ended."""
        self._first.wait(timeout=5)
        if self._process.poll() is not None or not self._last:
            raise OSError("tegrastats has ended")
        return self._last

    def close(self) -> None:
        """Stop the program."""
        self._process.terminate()
        self._process.wait()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout:
            for line in self._process.stdout:
                self._last = line
                self._first.set()
        self._first.set()


def _maximum(root: Path) -> dict[str, float]:
    files = [file for name in ("*gpu*", "*ga10b") for file in sorted(root.glob(f"sys/class/devfreq/{name}/max_freq"))]
    hertz = machine.read(files[0]).strip() if files else ""
    return {"gpu": float(hertz) / 1e6} if hertz else {}


def _nvpmodel() -> str:
    """What it prints; asking takes no root, setting would."""
    command = shutil.which("nvpmodel")
    if command is None:
        return ""
    return subprocess.run([command, "-q"], capture_output=True, text=True, check=False).stdout


def _jtop() -> Any:
    """An open connection to jetson-stats' service, or None."""
    try:
        import jtop
    except ModuleNotFoundError:
        return None
    jetson = jtop.jtop()
    try:
        jetson.start()
    except jtop.JtopException:
        return None
    return jetson

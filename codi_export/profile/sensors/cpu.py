"""What Linux reports of a processor and of this process: frequency, governor, RAPL energy, temperatures, throttling."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from codi_export import machine
from codi_export.profile.result import Reading
from codi_export.profile.sensors import Facts, Sensor

CPU = "sys/devices/system/cpu"
PAGE = os.sysconf("SC_PAGE_SIZE")


def find(root: Path = Path("/")) -> list[Sensor]:
    """Every Linux machine has one."""
    energy, throttled = _energy_counter(root), _throttle_counter(root)

    def read() -> Reading:
        clock, reason = clock_mhz(root), throttled()
        return Reading(
            0.0,
            clocks_mhz={} if clock is None else {"cpu": clock},
            temperatures_c=temperatures(root),
            energy_j=energy(),
            rss_bytes=resident_bytes(root),
            throttling=reason,
        )

    governor = _word(root / CPU / "cpu0/cpufreq/scaling_governor")
    return [Sensor("linux", Facts(governor=governor, max_clocks_mhz=_maximum(root)), read)]


def clock_mhz(root: Path) -> float | None:
    """The mean over cores: cpufreq's, or what /proc/cpuinfo says (in a virtual machine often a constant)."""
    kilohertz = _numbers(root.glob(f"{CPU}/cpu[0-9]*/cpufreq/scaling_cur_freq"))
    if kilohertz:
        return sum(kilohertz) / len(kilohertz) / 1000
    lines = machine.read(root / "proc/cpuinfo").splitlines()
    megahertz = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return sum(megahertz) / len(megahertz) if megahertz else None


def temperatures(root: Path) -> dict[str, float]:
    """By thermal zone, degrees Celsius."""
    found = {}
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        name, value = _word(zone / "type"), _number(zone / "temp")
        if name and value is not None:
            found[name.removesuffix("-thermal").removesuffix("-therm")] = value / 1000
    return found


def resident_bytes(root: Path) -> int | None:
    """Of this process, now."""
    words = machine.read(root / "proc/self/statm").split()
    return int(words[1]) * PAGE if len(words) > 1 else None


def _maximum(root: Path) -> dict[str, float]:
    kilohertz = _number(root / CPU / "cpu0/cpufreq/cpuinfo_max_freq")
    return {} if kilohertz is None else {"cpu": kilohertz / 1000}


def _energy_counter(root: Path) -> Callable[[], float | None]:
    """Joules of all packages since now, by RAPL. The counters wrap around; they are readable for root only on most
    systems."""
    packages = sorted(root.glob("sys/class/powercap/*rapl:[0-9]"))
    ranges = [_number(package / "max_energy_range_uj") for package in packages]
    last = [_number(package / "energy_uj") for package in packages]
    total = 0.0

    def read() -> float | None:
        nonlocal total
        now = [_number(package / "energy_uj") for package in packages]
        for index, (before, after) in enumerate(zip(last, now, strict=True)):
            if before is None or after is None:
                return None
            total += (after - before + (ranges[index] or 0) * (after < before)) / 1e6
            last[index] = after
        return total if packages else None

    return read


def _throttle_counter(root: Path) -> Callable[[], tuple[str, ...] | None]:
    """Whether a core was throttled since the last time, by Intel's counters."""
    files = sorted(root.glob(f"{CPU}/cpu[0-9]*/thermal_throttle/*_throttle_count"))
    last = sum(_numbers(files))

    def read() -> tuple[str, ...] | None:
        nonlocal last
        if not files:
            return None
        before, last = last, sum(_numbers(files))
        return ("cpu thermal",) if last > before else ()

    return read


def _word(path: Path) -> str | None:
    return machine.read(path).strip() or None


def _number(path: Path) -> float | None:
    try:
        return float(machine.read(path))
    except ValueError:
        return None


def _numbers(paths: Iterable[Path]) -> list[float]:
    return [value for path in paths if (value := _number(path)) is not None]

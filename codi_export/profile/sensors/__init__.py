"""What a device says of itself while it works. What it does not report stays unreported: None, never 0."""

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal

from codi_export import machine
from codi_export.profile.result import Device, Reading

KINDS = {"clocks": "clocks_mhz", "temperature": "temperatures_c", "power": "power_mw", "throttling": "throttling"}


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sensor knows of the machine from the start; None and {} are not reported."""

    name: str | None = None
    kind: Literal["cpu", "nvidia", "jetson"] = "cpu"
    driver: str | None = None
    power_mode: str | None = None
    governor: str | None = None
    device_memory_bytes: int | None = None
    max_clocks_mhz: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sensor:
    """One source of readings. It may vanish: then `read` raises OSError, and it is not asked again. A reading's
    `time_s` is filled in by who asked."""

    name: str
    facts: Facts
    read: Callable[[], Reading]
    close: Callable[[], None] = lambda: None


def merged(readings: Sequence[Reading], time_s: float) -> Reading:
    """One reading of all that several sensors said at one time; where two report the same, the first."""
    whole: dict[str, object] = {"time_s": time_s}
    for one in fields(Reading)[1:]:
        said = [value for reading in readings if (value := getattr(reading, one.name)) is not None]
        if one.name in ("clocks_mhz", "temperatures_c", "power_mw"):
            whole[one.name] = {key: value for part in reversed(said) for key, value in part.items()}
        elif one.name == "throttling":
            whole[one.name] = tuple(dict.fromkeys(reason for part in said for reason in part)) if said else None
        else:
            whole[one.name] = said[0] if said else None
    return Reading(**whole)  # type: ignore[arg-type]


def describe(sensors: Sequence[Sensor], first: Reading, root: Path = Path("/")) -> Device:
    """The machine, by its sensors' facts, and which kinds of reading none gives. The first that knows a fact counts."""
    facts = [sensor.facts for sensor in sensors]
    kinds = [one.kind for one in facts]
    said = {kind for kind, field_name in KINDS.items() if getattr(first, field_name) not in (None, {})}
    if first.energy_j is not None:
        said.add("power")

    def fact(name: str) -> object:
        return next((value for one in facts if (value := getattr(one, name)) is not None), None)

    return Device(
        name=str(fact("name") or machine.processor()),
        kind=next((kind for kind in kinds if kind != "cpu"), "cpu"),
        system=f"{platform.system()} {platform.release()}",
        cores=os.cpu_count(),
        memory_bytes=machine.memory(root)[0] or None,
        device_memory_bytes=fact("device_memory_bytes"),  # type: ignore[arg-type]
        power_mode=fact("power_mode"),  # type: ignore[arg-type]
        governor=fact("governor"),  # type: ignore[arg-type]
        max_clocks_mhz={key: value for one in reversed(facts) for key, value in one.max_clocks_mhz.items()},
        sensors=tuple(sensor.name for sensor in sensors),
        not_reported=tuple(kind for kind in KINDS if kind not in said),
    )

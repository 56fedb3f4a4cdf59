"""Results of profiles that nobody ran."""

import dataclasses

from codi_export.latency import summarise
from codi_export.profile.result import (
    Breakdown,
    Device,
    Drift,
    Energy,
    Node,
    Quality,
    Reading,
    Result,
    Run,
    Runtime,
    Settings,
    Span,
    Stage,
    Stream,
    Subject,
)
from codi_export.spec import Parity, TensorSpec

SUBJECT = Subject(
    "sr-2step", "ab" * 32, "sr-2step", "sr", 2, "fp32", "prev", (999, 899),
    (TensorSpec("image", "uint8", (1, 64, 64, 3)),), (TensorSpec("output", "uint8", (1, 256, 256, 3)),), 31_000_000,
)  # fmt: skip


def a_result(times: tuple[float, ...] = (12.0, 13.0), **changes: object) -> Result:
    """Every optional part is there."""
    engine = tuple(round(0.8 * ms, 6) for ms in times)
    run = Run(500.0, 90.0, (14.0, 12.0), True, tuple(k / 10 for k in range(len(times))), times, engine)
    breakdown = Breakdown(
        "onnxruntime profiler", 3, 10.0, 0.5, (Stage("condition", 2.0, 0.2), Stage("step1", 7.5, 0.75)),
        (Node("step1/conv2d", "Conv", "step1", (1, 8, 64, 64), 7.5, 10**9, 10**6, 5.0, 0.667),),
        (Span("step1/conv2d", "step1", 0.1, 7.5),), "measured here",
    )  # fmt: skip
    filled = Result(
        date="2026-01-01T00:00:00+00:00", subject=SUBJECT,
        runtime=Runtime("codi-export 0.1.0", "onnxruntime", "cpu", None, {"onnxruntime": "1.32.0"}),
        device=Device("A processor", "cpu", "Linux 6.1", 2, 24 * 10**9, not_reported=("throttling",)),
        settings=Settings("single", len(times), None, 1, 0),
        quality=Quality(Parity(141.0, 1e-7, 0), True, "equal to torch's output"),
        marks=(), partial=False, cold_load_ms=500.0, first_ms=90.0,
        end_to_end_ms=summarise(times), engine_ms=summarise(engine), images_per_s=80.0,
        histogram=None, drift=Drift(0.0, 1.0, None), peak_rss_bytes=10**8, peak_device_bytes=None, throttled=None,
        energy=Energy("rapl", 35_000.0, 0.44), runs=(run,),
        readings=(Reading(0.0, {"cpu": 3000.0}, energy_j=0.0), Reading(0.1, throttling=())),
        breakdown=breakdown, stream=Stream(30.0, 10, 9, 1, summarise([20.0])),
    )  # fmt: skip
    return dataclasses.replace(filled, **changes)  # type: ignore[arg-type]

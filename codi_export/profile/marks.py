"""What makes a result less than a clean one, in words."""

from codi_export.latency import summarise
from codi_export.profile import statistics
from codi_export.profile.energy import fallen_clocks, throttled
from codi_export.profile.measure import Measured
from codi_export.profile.result import Device, Quality, Settings
from codi_export.profile.watch import Watch

UNSTEADY = 1.25  # p95 over p50: above it something disturbed the measurement
RUNS_DIFFER = 0.05
CROWDED = 0.3  # of the cores, at work for others before the measurement began


def marks(
    measured: Measured, settings: Settings, quality: Quality, watch: Watch, device: Device, others: float | None
) -> list[str]:
    """What makes it less than a clean result, a sentence each."""
    times = [run.end_to_end_ms for run in measured.runs]
    whole = [ms for run in times for ms in run]
    said = ["partial: stopped before all was measured"] if measured.interrupted else []
    if quality.here is False:
        said.append(f"fails parity here: {quality.detail}")
    if not whole:
        said.append("no iteration was timed")
    if len(whole) == 1:
        said.append("one iteration: nothing is known of its spread")
    if settings.iterations and (unstable := sum(not run.stable for run in measured.runs)):
        said.append(f"times had not settled after the warm-up in {unstable} of {len(measured.runs)} runs")
    if others is not None and device.cores and others > CROWDED * device.cores:
        said.append(f"other work kept {others:.1f} of {device.cores} cores busy when it began")
    if len(whole) > 4 and (ratio := (found := summarise(whole)).p95 / found.p50) > UNSTEADY:
        said.append(f"unsteady: p95 is {ratio:.2f} times p50")
    if change := statistics.drift(times):
        if statistics.drifted(change):
            said.append(f"times drift by {change.within:+.1%} over a run")
        if change.between is not None and change.between > RUNS_DIFFER:
            said.append(f"runs differ by {change.between:.1%}")
    said += [sentence for sentence in (throttled(watch.readings)[1],) if sentence]
    said += fallen_clocks(watch.readings)
    said += [f"the sensor {name} stopped answering after {time_s:.1f} s" for name, time_s in watch.lost.items()]
    return said

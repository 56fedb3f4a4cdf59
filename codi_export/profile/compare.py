"""Two results beside each other: what differs in how they were made, and whether one is slower."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from codi_export.errors import CodiError, ErrorCode
from codi_export.profile import statistics
from codi_export.profile.result import Result
from codi_export.profile.statistics import Comparison


@dataclass(frozen=True, slots=True)
class Verdict:
    """`end_to_end` and `engine`: how much longer b takes than a. `differences`: in how they were made, a line each."""

    end_to_end: Comparison
    engine: Comparison
    differences: tuple[str, ...]

    def slower_than(self, share: float) -> bool:
        """Whether it is certain that b takes more than `share` longer, end to end."""
        return self.end_to_end.low > 1 + share


def compare(a: Result, b: Result, any_bundle: bool = False) -> Verdict:
    """Raises CodiError: bad-option for results of different bundles, unless they may be; bad-data without samples.

    A result that is partial or marked may be compared: its marks are among the differences.
    """
    if (what := _other_subject(a, b)) and not any_bundle:
        raise CodiError(
            ErrorCode.BAD_OPTION,
            f"the two results are of different bundles: {what}",
            "--any-bundle compares them all the same",
        )
    times = [
        ([getattr(run, kind) for run in a.runs], [getattr(run, kind) for run in b.runs])
        for kind in ("end_to_end_ms", "engine_ms")
    ]
    try:
        end_to_end, engine = (statistics.compare(*pair) for pair in times)
    except ValueError as error:
        raise CodiError(ErrorCode.BAD_DATA, f"nothing to compare: {error}", "profile with more --iterations") from error
    return Verdict(end_to_end, engine, tuple(differences(a, b)))


def to_dict(verdict: Verdict) -> dict[str, Any]:
    """JSON values; null for an upper end that one pair of calls leaves open."""
    found = {name: getattr(verdict, name) for name in ("end_to_end", "engine")}
    values = {
        name: {**asdict(one), "high": one.high if math.isfinite(one.high) else None, "certain": one.certain}
        for name, one in found.items()
    }
    return {**values, "differences": verdict.differences}


def differences(a: Result, b: Result) -> list[str]:
    """A line for each setting, version and device that differs, and each mark."""
    pairs = [
        (f"{part}.{name}", x, getattr(getattr(b, part), name))
        for part in ("subject", "runtime", "device", "settings")
        for name, x in _fields(getattr(a, part))
    ]
    lines = [f"{name}: {_said(x)} -> {_said(y)}" for name, x, y in pairs if x != y]
    return lines + [f"{which}: {mark}" for which, one in (("first", a), ("second", b)) for mark in one.marks]


def sentence(what: str, found: Comparison) -> str:
    """For people."""
    change = found.ratio - 1
    word = ("slower" if change > 0 else "faster") if found.certain else "not told apart"
    low, high = f"{found.low - 1:+.1%}", f"{found.high - 1:+.1%}" if found.high < 1e6 else "anything"
    return f"{what}  {change:+.1%}  [{low}, {high}]  p = {found.p:.2g}  {word}  ({found.n} pairs, {found.units})"


def _other_subject(a: Result, b: Result) -> str:
    names = ("sha256", "graph", "inputs")
    differing = [name for name in names if getattr(a.subject, name) != getattr(b.subject, name)]
    if not differing:
        return ""
    return f"{a.subject.name}/{a.subject.graph} and {b.subject.name}/{b.subject.graph} differ in {', '.join(differing)}"


def _fields(record: object) -> list[tuple[str, object]]:
    names: Sequence[str] = type(record).__slots__  # type: ignore[attr-defined]
    return [(name, getattr(record, name)) for name in names]


def _said(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:59] + "…"

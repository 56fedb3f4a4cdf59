"""Line charts as inline SVG: colours come from the page's style, so they follow its light or dark mode."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]  # step, value
WIDTH, HEIGHT = 360, 190
LEFT, RIGHT, TOP, BOTTOM = 46, 10, 8, 22
MOST_POINTS = 400  # more than the chart has pixels for


@dataclass(frozen=True, slots=True)
class Series:
    """One curve; `style` is a class of the page's style sheet: `raw`, `line`, `other` or `limit`."""

    style: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values laid over a range of SVG units."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where `value` lies, in SVG units."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (value - low) / (high - low)

    def ticks(self, count: int) -> list[float]:
        """About `count` round values inside the range."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            digits = (1, 2, 5) if self.high < 100 * self.low else (1,)
            return [v for d in decades for v in (k * 10.0**d for k in digits) if self.low <= v <= self.high]
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(k * power for k in (1, 2, 5, 10) if k * power >= rough)
        return [k * step for k in range(math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9) + 1)]


def smooth(points: Sequence[Point], share: float = 0.08) -> list[Point]:
    """The running mean over a `share` of all points, centred; at the ends over those that there are."""
    reach = int(len(points) * share / 2)
    sums = list(itertools.accumulate((value for _, value in points), initial=0.0))
    made = []
    for index, (step, _) in enumerate(points):
        first, end = max(0, index - reach), min(len(points), index + reach + 1)
        made.append((step, (sums[end] - sums[first]) / (end - first)))
    return made


def thin(points: Sequence[Point]) -> list[Point]:
    """Every k-th point and the last, at most about MOST_POINTS."""
    stride = max(1, len(points) // MOST_POINTS)
    return [*points[:-1:stride], points[-1]] if points else []


def draw(title: str, series: Sequence[Series], last: float) -> str:
    """An <svg> from step 0 to step `last`; the value axis is logarithmic where positive values span more than a factor
    of 10."""
    x = Axis(0, max(last, 1), LEFT, WIDTH - RIGHT)
    y = _values([value for one in series for _, value in one.points])
    grid = [
        f'<path class="grid" d="M{LEFT} {y.place(v):.1f}H{WIDTH - RIGHT}"/>'
        f'<text x="{LEFT - 5}" y="{y.place(v) + 4:.1f}" text-anchor="end">{v:.4g}</text>'
        for v in y.ticks(5)
    ]
    below = [f'<text x="{x.place(v):.1f}" y="{HEIGHT - 5}" text-anchor="middle">{_short(v)}</text>' for v in x.ticks(6)]
    curves = [_curve(one, x, y) for one in series]
    inside = "".join([*grid, *below, *curves])
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">{inside}</svg>'


def _values(values: Sequence[float]) -> Axis:
    low, high = min(values), max(values)
    if low > 0 and high > 10 * low:
        return Axis(low / 1.1, high * 1.1, HEIGHT - BOTTOM, TOP, log=True)
    room = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return Axis(low - room, high + room, HEIGHT - BOTTOM, TOP)


def _curve(series: Series, x: Axis, y: Axis) -> str:
    places = [(x.place(step), y.place(value)) for step, value in thin(series.points)]
    line = " ".join(f"{h:.1f},{v:.1f}" for h, v in places)
    dots = "".join(f'<circle cx="{h:.1f}" cy="{v:.1f}" r="2.5"/>' for h, v in places) if len(places) < 40 else ""
    return f'<g class="{series.style}"><polyline points="{line}"/>{dots}</g>'


def _short(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"

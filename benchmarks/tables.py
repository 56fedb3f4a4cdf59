"""Tables of the documents, made from the committed results; a pair of comments says which stands between them.

python -m benchmarks.tables            # write them anew (`make tables`)
python -m benchmarks.tables --check    # exit 1 if one is not what the results say; a test does the same

<!-- table end_to_end cpu --> ... <!-- /table -->
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import cold_start, compare, quality_speed
from distill.table import BETTER, DIGITS, HEADINGS

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("README.md", "benchmarks/README.md")
BLOCK = re.compile(r"(<!-- table (\w+) (\w+) -->\n)(.*?)(<!-- /table -->)", re.DOTALL)


def compared(result: Mapping[str, Any]) -> str:
    """Arms by group, and under them what repeating takes and what is doubtful."""
    heading = "" if len(result["groups"]) > 1 else " "
    return f"{compare.table(result['groups'], heading)}\n\n{conditions(result)}"


def conditions(result: Mapping[str, Any]) -> str:
    """What repeating takes and what is doubtful."""
    here, settings = result["environment"], result["settings"]
    packages = ", ".join(
        f"{name} {here['packages'][name]}" for name in ("onnxruntime", "torch") if name in here["packages"]
    )
    about = (
        f"{here['cores']} cores of {here['processor']}, {here['threads']} threads, {packages}, "
        f"{settings['rounds']} rounds in turns, {here['date']}."
    )
    sizes = [f"{bytes_ / 1e6:.1f} MB at {name}" for name, bytes_ in settings.get("graph_bytes", {}).items()]
    held = [f"Files that the graph reads: {', '.join(sizes)}."] if sizes else []
    absent = [f"Not run: {name} ({reason})." for name, reason in result["not_run"].items()]
    notes = [f"**Disturbed:** {'; '.join(result['marks'])}."] if result["marks"] else []
    return " ".join([about, *held, *absent, *notes])


def floors(result: Mapping[str, Any]) -> str:
    """Limits by what is compared; a column for each number of steps."""
    rows = result["settings"]["floors"]
    groups = list(dict.fromkeys(row["group"] for row in rows))
    lines = [["", "limit", *groups], ["---", "---:", *["---:"] * len(groups)]]
    for pair in dict.fromkeys((row["arm"], row["other"]) for row in rows):
        found = [row for row in rows if (row["arm"], row["other"]) == pair]
        cells = [f"{row['ratio']:.2f} [{row['low']:.2f}, {row['high']:.2f}]{_missed(row)}" for row in found]
        lines.append([" / ".join(f"`{name}`" for name in pair), f"{found[0]['limit']:.2f}", *cells])
    return f"{compare.markdown(lines)}\n\n{conditions(result)}"


def _missed(row: Mapping[str, Any]) -> str:
    return "" if row["met"] else " **missed**"


def quality(result: Mapping[str, Any]) -> str:
    """What `evaluate` printed, a table for each kind of input: its marks are differences from the first row."""
    headings = ["steps", *HEADINGS[2 : 2 + len(BETTER)], "ms"]
    tables = []
    for kind, rows in quality_speed.by_degradation(result["rows"], leave_out=()).items():
        lines = [[f"inputs: {kind}", *headings], ["---", *["---:"] * len(headings)], *map(_judged, rows)]
        tables.append(compare.markdown(lines))
    return "\n\n".join(tables)


def _judged(row: Mapping[str, Any]) -> list[str]:
    scores = [f"{row[metric]:.{DIGITS[metric]}f}{_mark(row, metric)}" for metric in BETTER]
    name, steps = ("`mini`", str(row["steps"])) if row["steps"] else (row["name"], "–")
    return [name, steps, *scores, f"{row['latency_ms']:.0f}"]


def _mark(row: Mapping[str, Any], metric: str) -> str:
    low, high = row["difference"][metric]
    return "" if low <= 0 <= high else " ▲" if low * BETTER[metric] > 0 else " ▼"


def front(result: Mapping[str, Any]) -> str:
    """Points by kind of input."""
    return quality_speed.table(result["panels"])


def started(result: Mapping[str, Any]) -> str:
    """Arms, and under them what repeating takes."""
    here, settings = result["environment"], result["settings"]
    machine = f"{here['cores']} cores of {here['processor']}, {here['threads']} threads"
    return f"{cold_start.table(result)}\n\n{machine}, {settings['rounds']} rounds in turns, {here['date']}."


def engines(result: Mapping[str, Any]) -> str:
    """Size and kernels at each number of steps, a row for each task and precision, a column for each kind of GPU."""
    rows = {(one["graph"], one["precision"], one["sm"]): one for one in result["engines"]}
    names = list(dict.fromkeys((graph.rpartition("-")[0], precision) for graph, precision, _ in rows))
    kinds, counts = sorted({sm for *_, sm in rows}), sorted({graph.rpartition("-")[2] for graph, *_ in rows})

    def cell(task: str, precision: str, sm: int, said: Callable[[Mapping[str, Any]], str]) -> str:
        found = [rows.get((f"{task}-{count}", precision, sm)) for count in counts]
        return " / ".join(said(one) if one else "–" for one in found)

    def size(one: Mapping[str, Any]) -> str:
        return f"{one['bytes'] / 1e6:.1f}"

    def kernels(one: Mapping[str, Any]) -> str:
        return str(sum(one["kernels"].values()))

    steps = " / ".join(count.removesuffix("step") for count in counts)
    columns = [*((sm, size) for sm in kinds), (kinds[0], kernels)]
    header = [f"{'MB' if said is size else 'kernels'}, SM {sm}" for sm, said in columns]
    lines = [[f"at {steps} steps", "", *header], ["---", "---", *["---:"] * len(header)]]
    for task, precision in names:
        lines.append([task, precision, *(cell(task, precision, sm, said) for sm, said in columns)])
    here = result["conditions"]
    about = f"{result['runtime']}, built on {here['processor']}, {here['date']}; no GPU has run them."
    return f"{compare.markdown(lines)}\n\n{about}"


MAKERS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "end_to_end": compared,
    "steps": compared,
    "resolution": compared,
    "speed_floor_mini": floors,
    "speed_floor_edge": floors,
    "quality": quality,
    "quality_speed": front,
    "cold_start": started,
    "engines": engines,
    "engines_edge": engines,
}


def fresh(text: str, results: Path = compare.RESULTS) -> str:
    """A document with its tables as the results say now."""

    def table(found: re.Match[str]) -> str:
        begin, name, device, _, end = found.groups()
        result = json.loads((results / device / f"{name}.json").read_text())
        return f"{begin}{MAKERS[name](result)}\n{end}"

    return BLOCK.sub(table, text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write, or only look."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if something would change")
    options = parser.parse_args(arguments)
    for document in DOCUMENTS:
        path = ROOT / document
        before = path.read_text(encoding="utf-8")
        after = fresh(before)
        if before != after and options.check:
            sys.exit(f"error: {document}: its tables are not those of benchmarks/results; run `make tables`")
        if before != after:
            path.write_text(after, encoding="utf-8")
            print(document)


if __name__ == "__main__":
    main()

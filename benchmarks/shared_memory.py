"""What two sessions of a bundle take beside one, with memory of their own and shared, and what sharing costs in time.

    python -m benchmarks.shared_memory BUNDLE... -o benchmarks/results/cpu/shared_memory.json
    python -m benchmarks.shared_memory --five -o ...    # five tasks over `mini`; adapters that it lacks are untrained

Each arm is a process of its own, one thread. PSS (proportional set size) counts a page that several mappings share
once: its largest value while calls ran, and the value after them. The second session is of another task where there is
one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file

import codi_export
from codi_export import bundle, machine
from codi_export.runtime.session import Memory, Session

ARMS = ("private:1", "private:2", "shared:1", "shared:2")
CALLS = 5
PERIOD = 0.01  # seconds between two readings of PSS
TASKS = ("sr", "canny", "depth", "edit", "inpaint")


def main() -> None:
    """Measure each bundle in a child per arm and round, print a table, write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundles", nargs="*", type=Path)
    parser.add_argument("--five", action="store_true", help="build and measure five tasks over `mini` at 2 steps")
    parser.add_argument("--arms", nargs="+", default=ARMS, metavar="MEMORY:SESSIONS", help="all, if left out")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--arm", nargs=2, help=argparse.SUPPRESS)  # a child: mode and number of sessions
    options = parser.parse_args()
    if options.arm:
        print(json.dumps(arm(options.bundles[0], options.arm[0], int(options.arm[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        bundles = [*options.bundles, *([five(Path(folder))] if options.five else [])]
        rows = [row for path in bundles for row in measure(path, options.arms, options.rounds)]
    for row in rows:
        print(line(row))
    if options.output:
        settings = {"threads": 1, "calls": CALLS, "rounds": options.rounds}
        options.output.write_text(json.dumps({**machine.conditions(), **settings, "rows": rows}, indent=1) + "\n")


def measure(folder: Path, arms: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Arms in turns; of each the median round by PSS while calls ran."""
    found: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for name in arms:
            command = [sys.executable, "-m", "benchmarks.shared_memory", str(folder), "--arm", *name.split(":")]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found.setdefault(name, []).append(json.loads(done.stdout))
    rows = []
    for name, results in found.items():
        mode, sessions = name.split(":")
        results.sort(key=lambda one: one["pss_running_mb"])
        spread = [results[0]["pss_running_mb"], results[-1]["pss_running_mb"]]
        rows.append({"bundle": folder.name, "memory": mode, "sessions": int(sessions), **results[len(results) // 2]})
        rows[-1] |= {"pss_running_mb_min_max": spread}
    for row in rows:
        one = next(r for r in rows if r["memory"] == row["memory"] and r["sessions"] == 1)
        row["beside_one"] = round(row["pss_running_mb"] / one["pss_running_mb"], 3)
        row["beside_one_at_rest"] = round(row["pss_at_rest_mb"] / one["pss_at_rest_mb"], 3)
    return rows


def arm(folder: Path, mode: Memory, count: int) -> dict[str, Any]:
    """One process: open `count` sessions, call them in turns."""
    before, start = pss(), time.perf_counter()
    sessions = [_open(folder, mode, index) for index in range(count)]
    opened, seconds = pss(), time.perf_counter() - start
    calls = [_call(folder, session) for session in sessions]
    times, most = [], [opened]
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(most, done))
    watcher.start()
    for _ in range(1 + CALLS):
        for call in calls:
            begin = time.process_time()
            call()
            times.append(time.process_time() - begin)
    done.set()
    watcher.join()
    first = sorted(times[count::count])  # of the first session; its first call is left out
    return {
        "tasks": [session.graph.name for session in sessions],
        "open_s": round(seconds, 2),
        "pss_before_mb": round(before, 1),
        "pss_opened_mb": round(opened, 1),
        "pss_running_mb": round(max(most), 1),
        "pss_at_rest_mb": round(pss(), 1),
        "call_cpu_ms": round(1000 * first[len(first) // 2]),
        "call_cpu_ms_min_max": [round(1000 * first[0]), round(1000 * first[-1])],
    }


def pss() -> float:
    """Of this process, in MB."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024 / 1e6


def line(row: dict[str, Any]) -> str:
    """For people."""
    running = f"{row['pss_running_mb']:8.1f} MB running ({row['beside_one']:.2f} x one)"
    after = f"{row['pss_at_rest_mb']:8.1f} after ({row['beside_one_at_rest']:.2f})"
    return f"{row['bundle']:<16} {row['memory']:<8} {row['sessions']} {running} {after} {row['call_cpu_ms']} ms a call"


def five(folder: Path) -> Path:
    """The largest `mini` bundle: every task at 2 steps."""
    from codi_export import builder, zoo
    from codi_export.model import adapter, backbone
    from codi_export.spec import AdapterSpec

    mini = backbone.load(zoo.folder("mini"))
    nets = []
    for task in TASKS[1:]:
        net = adapter.new(mini, "unshuffled", width=64, trunk=8, attention=False, seen=4 if task == "inpaint" else 3)
        for tensor in net.parameters():
            if not tensor.any():
                tensor.data.normal_(std=0.01)
        adapter.save(net, AdapterSpec(task, condition="unshuffled", trunk=8, image_size=256), folder / task)
        nets.append(str(folder / task))
    builder.build(TASKS, 2, folder / "mini-5", adapter=[str(zoo.adapter("mini", "sr")), *nets])
    return folder / "mini-5"


def _open(folder: Path, mode: Memory, index: int) -> Session:
    graphs = bundle.read_manifest(folder).graphs
    tasks = list(dict.fromkeys(graph.task for graph in graphs))
    return codi_export.load(folder, tasks[index % len(tasks)], check="size", threads=1, memory=mode)


def _call(folder: Path, session: Session) -> Callable[[], object]:
    golden = load_file(folder / session.graph.golden)
    inputs = {spec.name: golden[spec.name] for spec in session.graph.inputs}
    return lambda: session.run(**inputs)


def _watch(most: list[float], done: threading.Event) -> None:
    while not done.wait(PERIOD):
        most.append(pss())


if __name__ == "__main__":
    main()

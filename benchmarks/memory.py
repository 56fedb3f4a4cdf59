"""What a bundle's graphs take in memory on the CPU, beside what `codi-export plan` says: one process a graph.

Example: python -m benchmarks.memory sr-2step -o memory.json
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from codi_export import bundle, machine, planner, registry

CALLS = 3
CHILD = """
import sys
from pathlib import Path
from safetensors.numpy import load_file
from codi_export import machine, registry
path, golden, inputs = Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
run = registry.get("backends", "onnxruntime").open(path, "cpu", 1)
tensors = load_file(golden)
for _ in range({calls}):
    run({{name: tensors[name] for name in inputs}})
print(machine.peak_bytes())
"""


def measure(folder: Path) -> list[dict[str, Any]]:
    """For each graph of a bundle: the most that a process with it had resident, and what was planned."""
    rows = []
    for graph in bundle.read_manifest(folder).graphs:
        names = ",".join(spec.name for spec in graph.inputs)
        command = [sys.executable, "-c", CHILD.format(calls=CALLS), folder / graph.path, folder / graph.golden, names]
        result = subprocess.run(list(map(str, command)), check=True, capture_output=True, text=True)
        measured = int(result.stdout)
        planned = planner.plan(planner.workload(folder, graph), registry.get("targets", "cpu"), "fp32")
        run = planned.peak_bytes.run
        rows.append(
            {
                "bundle": folder.name,
                "graph": graph.name,
                "measured": measured,
                "planned": run,
                "error": run / measured - 1,
            }
        )
    return rows


def main() -> None:
    """Measure, print a table, and write JSON where asked to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    rows = [row for folder in arguments.bundles for row in measure(folder)]
    for row in rows:
        megabytes = f"{row['measured'] / 1e6:8.1f} MB measured {row['planned'] / 1e6:8.1f} planned"
        print(f"{row['bundle']:<20} {row['graph']:<12} {megabytes} {100 * row['error']:+5.1f} %")
    if arguments.output:
        arguments.output.write_text(json.dumps({"conditions": machine.conditions(), "graphs": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()

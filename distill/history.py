"""The log of a run, one JSON object a line: losses, validation scores, warnings, each with its `step`."""

import json
from pathlib import Path
from typing import Any

Row = dict[str, Any]
NAME = "log.jsonl"


def append(folder: Path, row: Row) -> None:
    """Add a row to the log of a run folder, which is made when there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / NAME).open("a") as file:
        file.write(json.dumps(row) + "\n")


def read(folder: Path) -> list[Row]:
    """The rows of a run folder's log, oldest first.

    A resumed run repeats the steps after its last state, so its rows replace the ones that it repeats; warnings stay.
    A line that a kill cut short is left out.
    """
    rows: list[Row] = []
    file = folder / NAME
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        if rows and row["step"] < rows[-1]["step"]:
            rows = [old for old in rows if old["step"] < row["step"] or "warning" in old]
        rows.append(row)
    return rows

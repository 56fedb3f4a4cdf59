"""Tables in the documents are those of the committed results."""

import json
from pathlib import Path

import pytest

from benchmarks import compare, tables
from benchmarks.compare import Arm, Options


def test_the_documents_are_up_to_date() -> None:
    tables.main(["--check"])


@pytest.fixture
def results(tmp_path: Path) -> Path:
    opts = Options((), 4, 1, 0, None)
    ticking = {"first": [Arm("ours", lambda: None), Arm("torch", lambda: None)], "second": [Arm("ours", lambda: None)]}
    outcome = compare.run("end_to_end", ticking, opts, not_run={"optimum": "absent"})
    compare.save(outcome, tmp_path / "cpu/end_to_end.json")
    return tmp_path


def test_a_table_is_replaced_and_nothing_else(results: Path) -> None:
    text = "# A\n<!-- table end_to_end cpu -->\nold\n<!-- /table -->\nafter\n"
    made = tables.fresh(text, results)
    assert made.startswith("# A\n<!-- table end_to_end cpu -->\n|") and made.endswith("<!-- /table -->\nafter\n")
    assert "old" not in made and "| torch |" in made and "Not run: optimum (absent)." in made
    assert tables.fresh(made, results) == made


def test_a_stale_document_is_an_error(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "DOCUMENTS", ("A.md",))
    monkeypatch.setattr(tables, "fresh", lambda text: tables.BLOCK.sub("new", text))
    (tmp_path / "A.md").write_text("<!-- table end_to_end cpu -->\nold\n<!-- /table -->\n")
    with pytest.raises(SystemExit, match=r"A\.md: its tables are not those"):
        tables.main(["--check"])
    tables.main([])
    tables.main(["--check"])


def test_every_committed_comparison_has_what_repeating_takes() -> None:
    for file in compare.RESULTS.glob("*/*.json"):
        value = json.loads(file.read_text())
        if "samples" in value:
            assert {"processor", "threads", "commit", "date", "packages"} <= set(value["environment"]), file


def test_engines_stand_by_steps_and_what_is_not_there_is_a_dash() -> None:
    def row(steps: int, sm: int, size: int) -> dict[str, object]:
        return {
            "graph": f"sr-{steps}step",
            "precision": "fp16",
            "sm": sm,
            "bytes": size,
            "kernels": {"a": 2, "b": steps},
        }

    found = {"conditions": {"processor": "CPU", "date": "2026-01-01"}, "runtime": "rtx 1"}
    made = tables.engines({**found, "engines": [row(1, 86, 10**6), row(4, 86, 2 * 10**6), row(1, 89, 3 * 10**6)]})
    assert made.splitlines()[0] == "| at 1 / 4 steps |  | MB, SM 86 | MB, SM 89 | kernels, SM 86 |"
    assert made.splitlines()[2] == "| sr | fp16 | 1.0 / 2.0 | 3.0 / – | 3 / 6 |"

"""The file that says what each node costs."""

from dataclasses import replace
from pathlib import Path

import pytest

from codi_export import costs
from codi_export.costs import NodeCost
from codi_export.errors import CodiError, ErrorCode
from tests import fake_bundle

NODES = (NodeCost("condition/a", "Conv", 10, 20, 30, 5, 30), NodeCost("step1/b", "Mul", 0, 60, 30, 0, 60))


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    graph = replace(fake_bundle.write(tmp_path).graphs[0], cost="graphs/sr-2step.cost.json")
    costs.write(tmp_path / graph.cost, NODES)
    assert costs.read(tmp_path, graph) == NODES


def test_stages_come_in_the_order_of_the_work() -> None:
    assert costs.by_stage(NODES) == {"condition": NODES[:1], "step1": NODES[1:]}


def test_a_bundle_of_an_older_build_is_told_so(tmp_path: Path) -> None:
    graph = fake_bundle.write(tmp_path).graphs[0]
    with pytest.raises(CodiError, match="does not say what sr-2step costs") as caught:
        costs.read(tmp_path, graph)
    assert caught.value.code is ErrorCode.BAD_BUNDLE


@pytest.mark.parametrize(
    "text", ["", "[]", '{"fields": ["name"], "rows": [["a", "b"]]}', '{"fields": ["name"], "rows": [["a"]]}']
)
def test_a_damaged_file_is_named(text: str, tmp_path: Path) -> None:
    graph = replace(fake_bundle.write(tmp_path).graphs[0], cost="costs.json")
    (tmp_path / "costs.json").write_text(text)
    with pytest.raises(CodiError) as caught:
        costs.read(tmp_path, graph)
    assert caught.value.code is ErrorCode.BAD_BUNDLE

"""One graph for all steps: what it holds, and that it is the torch pipeline."""

from pathlib import Path

import onnx
import onnx_ir as ir
import pytest

from codi_export import registry
from codi_export.graph import passes, store
from codi_export.graph.unroll import probes, unroll
from tests import tiny

KIND: tiny.Kind = "v_prediction"


def graph(steps: int, sampler: str = "prev") -> ir.Model:
    schedule = next(s for s in tiny.recipe(KIND).schedules if len(s) == steps)
    model = unroll(tiny.exported(KIND), schedule, registry.get("samplers", sampler), f"sr-{steps}step")
    passes.run(model)
    return model


@pytest.fixture(scope="module")
def graphs() -> dict[int, ir.Model]:
    return {steps: graph(steps) for steps in (1, 2, 4)}


def values(model: ir.Model) -> list[str]:
    return [str(value.name) for node in model.graph for value in node.outputs]


def test_interface(graphs: dict[int, ir.Model]) -> None:
    inputs, outputs = graphs[2].graph.inputs, graphs[2].graph.outputs
    assert [(v.name, v.dtype, v.shape) for v in inputs] == [
        ("image", ir.DataType.UINT8, (1, 8, 8, 3)),
        ("noise", ir.DataType.FLOAT, (1, 4, 8, 8)),
    ]
    assert [(v.name, v.dtype, v.shape) for v in outputs] == [("output", ir.DataType.UINT8, (1, 32, 32, 3))]


def test_onnx_accepts_it(graphs: dict[int, ir.Model], tmp_path: Path) -> None:
    ir.save(graphs[4], tmp_path / "graph.onnx")
    onnx.checker.check_model(tmp_path / "graph.onnx", full_check=True)


def test_no_loops_no_branches_no_randomness(graphs: dict[int, ir.Model]) -> None:
    ops = {node.op_type for model in graphs.values() for node in model.graph}
    assert not ops & {
        "Loop",
        "If",
        "Scan",
        "RandomNormal",
        "RandomNormalLike",
        "RandomUniform",
        "Bernoulli",
        "Multinomial",
    }
    assert not any(op.startswith("Sequence") for op in ops), "sequences are not TensorRT's"


def test_weights_do_not_grow_with_steps(graphs: dict[int, ir.Model]) -> None:
    weights = {n: {name for name in graphs[n].graph.initializers if store.is_weight(name)} for n in (1, 4)}
    assert weights[1] == weights[4]


def test_every_value_is_named_after_its_stage(graphs: dict[int, ir.Model]) -> None:
    stages = {name.partition("/")[0] for name in values(graphs[2])}
    assert stages == {"condition", "step1", "step2", "decode", "output"}


def test_the_condition_is_embedded_once(graphs: dict[int, ir.Model]) -> None:
    assert len(graphs[4].graph.initializers["adapter.controlnet_cond_embedding.conv_in.weight"].uses()) == 1


def test_what_no_step_changes_is_computed_once(graphs: dict[int, ir.Model]) -> None:
    """The prompt is a constant, so its keys and values are the same in every step."""

    def products_of_the_prompt(model: ir.Model) -> int:
        return sum(node.op_type == "MatMul" and node.inputs[0].name == "prompt" for node in model.graph)

    assert products_of_the_prompt(graphs[4]) == products_of_the_prompt(graphs[1]) > 0


def test_later_steps_hold_no_work_on_constants(graphs: dict[int, ir.Model]) -> None:
    """Timesteps were folded: no step computes a sine."""
    assert not {node.op_type for node in graphs[4].graph} & {"Sin", "Cos", "Range", "Shape", "Constant"}


def test_terms_that_are_zero_are_left_out() -> None:
    """prev has no z term and ddim no noise term; at the last step there is no update at all."""
    assert not any("next_z" in name for name in values(graph(2)))
    assert not any("next_noise" in name for name in values(graph(2, "ddim")))
    assert not any(name.startswith("step2/next") for name in values(graph(2)))


def test_an_update_is_two_multiplications_and_an_addition(graphs: dict[int, ir.Model]) -> None:
    made = [node.op_type for node in graphs[2].graph if str(node.name).startswith("step1/next")]
    assert made == ["Mul", "Mul", "Add"]


def test_probes_are_there(graphs: dict[int, ir.Model]) -> None:
    for steps, schedule in zip((1, 2, 4), tiny.recipe(KIND).schedules, strict=True):
        assert set(probes(schedule)) <= set(values(graphs[steps]))


def test_equal_inputs_give_equal_graphs(tmp_path: Path) -> None:
    texts = []
    for name in ("a.onnx", "b.onnx"):
        ir.save(graph(2), tmp_path / name)
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1]

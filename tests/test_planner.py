"""Plans by hand: what bounds a node, what fits, what is refused, what would help."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codi_export import planner, registry
from codi_export.costs import NodeCost
from codi_export.errors import CodiError, ErrorCode
from codi_export.planner import Workload
from codi_export.targets import PowerMode, TargetSpec

GPU = TargetSpec(
    name="toy",
    device="Toy",
    compute_capability="8.7",
    memory_bytes=8 * 10**9,
    usable_bytes=6 * 10**9,
    bandwidth=1e9,
    rates={"fp32": 1e9, "tf32": 4e9, "fp16": 8e9, "int8": 16e9},
    emulated=("bf16",),
    modes=(PowerMode("half", 7, 0.5, 0.5e9), PowerMode("full", 15, 1.0, 1e9)),
    tensorrt={"6.2": "10.3"},
    sources={"all": "made up"},
)
CPU = replace(GPU, name="toy-cpu", compute_capability="", modes=(), tensorrt={})
M = 10**6

# products 80 M, weights 4 MB, activations 2 MB in and 2 MB out, 5 MB alive
NODE = NodeCost("step1/a", "Conv", 80 * M, 6 * M, 2 * M, 4 * M, 5 * M, "unet.conv_in")
FREE = NodeCost("step1/b", "Mul", 0, 6 * M, 2 * M, 0, 5 * M, "unet.conv_in")
NODES = (
    replace(NODE, name="condition/a", module="adapter.conv"),
    NODE,
    FREE,
    replace(NODE, name="step2/a", flops=40 * M),
    replace(NODE, name="decode/a", module="vae.decoder.conv_in", live_bytes=20 * M),
)
WORK = Workload("sr-2step", 2, "fp32", 100 * M, NODES)


def test_a_node_takes_as_long_as_the_slower_of_its_two_sides() -> None:
    assert planner.node_seconds(NODE, GPU, "fp16") == pytest.approx(80 / 8000)
    assert planner.node_seconds(replace(NODE, flops=M), GPU, "fp16") == pytest.approx(8 / 1000)
    assert planner.node_seconds(FREE, GPU, "fp16") == 0, "it is fused into a product"


def test_fp32_may_use_tensor_cores_and_int8_does_not_quantise_attention() -> None:
    assert planner.node_seconds(NODE, GPU, "fp32") == pytest.approx(80 / 4000)
    attention = replace(NODE, weight_bytes=0)
    assert planner.node_seconds(attention, GPU, "int8") == planner.node_seconds(attention, GPU, "fp16")


def test_other_numbers_of_steps_repeat_the_last_step() -> None:
    found = planner.plan(WORK, GPU, "fp32")
    condition, first, second, decode = (stage.roofline_ms for stage in found.stages)
    assert found.roofline_ms == {
        "1": pytest.approx(condition + first + decode),
        "2": pytest.approx(condition + first + second + decode),
        "4": pytest.approx(condition + first + 3 * second + decode),
    }
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.shares["vae"] == found.shares["adapter"] > 0


def test_fewer_bytes_a_number_make_everything_smaller() -> None:
    half = planner.converted(WORK, "fp16")
    assert half.weight_bytes == 50 * M and max(node.live_bytes for node in half.nodes) == 10 * M
    narrow = planner.converted(WORK, "int8")
    eighth = narrow.nodes[1]
    assert (eighth.weight_bytes, eighth.bytes_read, eighth.live_bytes) == (M, M + M, 2.5 * M)
    assert planner.converted(half, "fp32") == planner.converted(narrow, "fp32") == WORK
    assert planner.converted(narrow, "int8") == narrow


def test_weights_in_int8_alone_are_for_cpus_and_computed_in_fp32() -> None:
    planner.refuse(CPU, "int8-weights")
    assert planner.arithmetic("int8-weights") == "fp32"
    with pytest.raises(CodiError, match="int8-weights is for CPUs, not for"):
        planner.refuse(GPU, "int8-weights")


def test_a_cpu_builds_no_engine() -> None:
    memory = planner.peak_memory(WORK, CPU)
    assert memory.build == 0 and memory.run > planner.INTERPRETER + 100 * M


def test_a_power_mode_is_slower_and_the_fastest_is_the_default() -> None:
    full, half = planner.plan(WORK, GPU, "fp16"), planner.plan(WORK, GPU, "fp16", "half")
    assert (full.mode, half.mode) == ("full", "half")
    assert half.roofline_ms["2"] == pytest.approx(2 * full.roofline_ms["2"])
    with pytest.raises(CodiError, match="no power mode 'turbo'"):
        planner.plan(WORK, GPU, "fp16", "turbo")


def test_what_does_not_fit_comes_with_the_knob_that_makes_it_fit() -> None:
    big = replace(WORK, weight_bytes=2_000 * M)
    found = planner.plan(big, GPU, "fp32")
    assert not found.fits
    assert [line.partition(":")[0] for line in found.advice] == [
        "--precision fp16",
        "--precision int8",
        "the engine would run but not build there",
    ]
    assert planner.plan(big, GPU, "fp16").fits


def test_a_build_for_a_target_that_is_too_small_stops() -> None:
    planner.require(WORK, GPU)
    with pytest.raises(CodiError, match=r"sr-2step in fp32 needs 7\.2 GB on toy, which has 6\.0 GB") as caught:
        planner.require(replace(WORK, weight_bytes=2_000 * M), GPU)
    assert caught.value.code is ErrorCode.DOES_NOT_FIT and "--precision fp16: 3.8 GB" in caught.value.hint


def test_activations_are_met_with_smaller_pictures() -> None:
    alive = replace(WORK, nodes=(*NODES, replace(NODE, name="decode/b", module="vae.decoder", live_bytes=7_000 * M)))
    found = planner.plan(alive, replace(GPU, rates={"fp32": 1e9}), "fp32")
    assert [line.partition(":")[0] for line in found.advice] == [
        "--height and --width of half the size (larger pictures are tiled)",
        "a tiny VAE (diffusers' AutoencoderTiny)",
    ]


def test_what_nothing_helps_says_so() -> None:
    assert planner.plan(replace(WORK, weight_bytes=10**12), GPU, "fp16").advice == (
        "no single change makes it fit: a smaller backbone",
    )


@pytest.mark.parametrize(
    ("precision", "opset", "message"),
    [
        ("fp8", 0, "Toy has no fp8 arithmetic"),
        ("bf16", 0, "Toy only imitates bf16"),
        ("fp16", 23, "JetPack 6.2 on Toy has TensorRT 10.3, which reads up to 20"),
    ],
)
def test_what_a_target_cannot_do_is_refused(precision: str, opset: int, message: str) -> None:
    with pytest.raises(CodiError, match=message) as caught:
        planner.refuse(GPU, precision, opset)
    assert caught.value.code is ErrorCode.BAD_OPTION


def test_versions_between_known_ones_are_as_the_lower() -> None:
    assert [planner.parsed_opset(version) for version in ("9.0", "10.3", "10.14.1", "10.15", "12.0")] == [
        20, 20, 20, 24, 25,
    ]  # fmt: skip


@given(st.sampled_from(["jetson-orin-nano-8gb", "rtx-4090", "cpu", "h200"]), st.floats(1.0, 100.0))
def test_a_wider_memory_is_never_slower(name: str, factor: float) -> None:
    target: TargetSpec = registry.get("targets", name)
    wider = replace(target, bandwidth=target.bandwidth * factor)
    assert planner.plan(WORK, wider).roofline_ms["4"] <= planner.plan(WORK, target).roofline_ms["4"]

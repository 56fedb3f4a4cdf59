"""What a builder says, in plain words."""

import pytest

from codi_export.backends.nvidia import log

MODULES = {"step1/conv2d_7": "unet.mid_block.resnets.0.conv1", "decode/matmul": ""}


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        ("Myelin ([...] CHECK(status == CUDA_SUCCESS) failed.", "this needs a GPU"),
        ("Some tactics lack workspace memory. Try increasing the workspace size", "workspace is too small"),
        ("Requested amount of GPU memory (123 bytes) could not be allocated: OutOfMemory", "does not suffice"),
        ("std::bad_alloc", "does not suffice"),
        ("Could not find any implementation for node {[step1/conv2d_7]}", "no kernel for a node at step1/conv2d_7"),
    ],
)  # fmt: skip
def test_known_errors_are_explained(error: str, meaning: str) -> None:
    said, todo = log.plain(error, MODULES)
    assert meaning in said and error in said and todo


def test_a_node_comes_with_its_module() -> None:
    assert "at step1/conv2d_7, from unet.mid_block.resnets.0.conv1" in log.plain("x step1/conv2d_7 y", MODULES)[0]


def test_an_unknown_error_is_passed_on() -> None:
    assert log.plain("Error Code 42", {})[0] == "Error Code 42"
    assert log.plain("", {})[0] == "it gave no reason"


def test_lines_by_severity() -> None:
    lines = [(4, "verbose"), (2, "careful"), (1, " first "), (0, "fatal"), (2, "careful")]
    assert log.first_error(lines) == "first"
    assert log.warnings(lines) == ("careful",)
    assert log.text(lines).splitlines() == [
        "verbose",
        "WARNING careful",
        "ERROR  first ",
        "FATAL fatal",
        "WARNING careful",
    ]


def test_kernels_are_counted_in_the_last_list() -> None:
    kinds = {"a": "gemm", "b_myl0": "kgen", "c": "gemm", "d": "wait"}
    listed = "\n".join(f"Name: {name}, LayerType: {kind}, Inputs: []" for name, kind in kinds.items())
    assert log.kernels([(4, "Name: old, LayerType: kgen, I"), (4, listed), (3, "end")]) == {"gemm": 2, "kgen": 1}
    assert log.kernels([(4, "nothing")]) == {}

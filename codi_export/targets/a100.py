"""A100 80GB SXM: 80 GB, 2039 GB/s, 312 TFLOP/s fp16."""

from codi_export.targets import TargetSpec

TARGET = TargetSpec(
    name="a100",
    device="A100 80GB SXM",
    compute_capability="8.0",
    memory_bytes=80 * 2**30,
    usable_bytes=80 * 2**30 - 768 * 2**20,
    bandwidth=2039e9,
    rates={"fp32": 19.5e12, "tf32": 156e12, "fp16": 312e12, "bf16": 312e12, "int8": 624e12},
    sources={
        "rates": "NVIDIA A100 data sheet, dense",
        "bandwidth, memory": "the same",
    },
)

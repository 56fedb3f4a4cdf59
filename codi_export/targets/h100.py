"""H100 SXM: 80 GB, 3350 GB/s, 989.4 TFLOP/s fp16."""

from codi_export.targets import TargetSpec

TARGET = TargetSpec(
    name="h100",
    device="H100 SXM",
    compute_capability="9.0",
    memory_bytes=80 * 2**30,
    usable_bytes=80 * 2**30 - 768 * 2**20,
    bandwidth=3350e9,
    rates={"fp32": 67e12, "tf32": 494.7e12, "fp16": 989.4e12, "bf16": 989.4e12, "int8": 1978.9e12, "fp8": 1978.9e12},
    sources={
        "rates": "NVIDIA H100 data sheet, its sparse figures halved",
        "bandwidth, memory": "the same",
    },
)

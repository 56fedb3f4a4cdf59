"""H200 SXM: 141 GB, 4800 GB/s, 989.4 TFLOP/s fp16."""

from codi_export.targets import TargetSpec

TARGET = TargetSpec(
    name="h200",
    device="H200 SXM",
    compute_capability="9.0",
    memory_bytes=141 * 10**9,
    usable_bytes=141 * 10**9 - 768 * 2**20,
    bandwidth=4800e9,
    rates={"fp32": 67e12, "tf32": 494.7e12, "fp16": 989.4e12, "bf16": 989.4e12, "int8": 1978.9e12, "fp8": 1978.9e12},
    sources={
        "rates": "NVIDIA H200 data sheet, its sparse figures halved",
        "bandwidth, memory": "the same",
    },
)

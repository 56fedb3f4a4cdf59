"""L4: 24 GB, 300 GB/s, 121 TFLOP/s fp16."""

from codi_export.targets import TargetSpec

TARGET = TargetSpec(
    name="l4",
    device="L4",
    compute_capability="8.9",
    memory_bytes=24 * 2**30,
    usable_bytes=24 * 2**30 - 768 * 2**20,
    bandwidth=300e9,
    rates={"fp32": 30.3e12, "tf32": 60e12, "fp16": 121e12, "bf16": 121e12, "int8": 242e12, "fp8": 242e12},
    sources={
        "rates": "NVIDIA L4 data sheet, its sparse figures halved",
        "bandwidth, memory": "the same",
    },
)

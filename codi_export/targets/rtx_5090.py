"""GeForce RTX 5090: 32 GB, 1792 GB/s, 209.5 TFLOP/s fp16."""

from codi_export.targets import TargetSpec

TARGET = TargetSpec(
    name="rtx-5090",
    device="GeForce RTX 5090",
    compute_capability="12.0",
    memory_bytes=32 * 2**30,
    usable_bytes=32 * 2**30 - 768 * 2**20,
    bandwidth=1792e9,
    rates={"fp32": 104.8e12, "tf32": 104.8e12, "fp16": 209.5e12, "bf16": 209.5e12, "int8": 838e12, "fp8": 419e12},
    sources={
        "rates": "NVIDIA RTX Blackwell GPU architecture whitepaper, table of the RTX 5090",
        "bandwidth, memory": "the same",
    },
)

"""GeForce RTX 4090: 24 GB, 1008 GB/s, 165.2 TFLOP/s fp16."""

from codi_export.targets import TargetSpec

TARGET = TargetSpec(
    name="rtx-4090",
    device="GeForce RTX 4090",
    compute_capability="8.9",
    memory_bytes=24 * 2**30,
    usable_bytes=24 * 2**30 - 768 * 2**20,
    bandwidth=1008e9,
    rates={"fp32": 82.6e12, "tf32": 82.6e12, "fp16": 165.2e12, "bf16": 165.2e12, "int8": 660.6e12, "fp8": 330.3e12},
    sources={
        "rates": "NVIDIA Ada GPU architecture whitepaper, table of the RTX 4090",
        "bandwidth, memory": "the same",
    },
)

"""GeForce RTX 4060: 8 GB, 272 GB/s, 30.2 TFLOP/s fp16."""

from codi_export.targets import TargetSpec

TARGET = TargetSpec(
    name="rtx-4060",
    device="GeForce RTX 4060",
    compute_capability="8.9",
    memory_bytes=8 * 2**30,
    usable_bytes=8 * 2**30 - 768 * 2**20,
    bandwidth=272e9,
    rates={"fp32": 15.1e12, "tf32": 15.1e12, "fp16": 30.2e12, "bf16": 30.2e12, "int8": 120.9e12, "fp8": 60.5e12},
    sources={
        "rates": "computed from the Ada whitepaper: 24 SMs x 2.46 GHz x 512 FLOP a cycle",
        "bandwidth, memory": "NVIDIA GeForce RTX 4060 specifications",
    },
)

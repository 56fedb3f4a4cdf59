"""GeForce RTX 3060 12GB: 12 GB, 360 GB/s, 25.5 TFLOP/s fp16."""

from codi_export.targets import TargetSpec

TARGET = TargetSpec(
    name="rtx-3060",
    device="GeForce RTX 3060 12GB",
    compute_capability="8.6",
    memory_bytes=12 * 2**30,
    usable_bytes=12 * 2**30 - 768 * 2**20,
    bandwidth=360e9,
    rates={"fp32": 12.7e12, "tf32": 12.7e12, "fp16": 25.5e12, "bf16": 25.5e12, "int8": 101.9e12},
    sources={
        "rates": "computed from the GA102 whitepaper: 28 SMs x 1.777 GHz x 512 FLOP a cycle",
        "bandwidth, memory": "NVIDIA GeForce RTX 3060 specifications",
    },
)

"""Jetson AGX Thor (T5000): 128 GB shared, 273 GB/s, 258 TFLOP/s fp16."""

from codi_export.targets import PowerMode, TargetSpec

TARGET = TargetSpec(
    name="jetson-agx-thor",
    device="Jetson AGX Thor T5000",
    compute_capability="11.0",
    memory_bytes=128 * 2**30,
    usable_bytes=124748 * 2**20,
    bandwidth=273e9,
    rates={"fp32": 8.06e12, "tf32": 129e12, "fp16": 258e12, "bf16": 258e12, "int8": 517e12, "fp8": 517e12},
    modes=(
        PowerMode("40W", 40, 0.35, 273e9),
        PowerMode("MAXN", 0, 1.0, 273e9),
    ),
    tensorrt={"7.0": "10.13"},
    sources={
        "rates": "derived: 2070 TFLOP/s sparse FP4, halved for dense, FP8, FP16, TF32; fp32 2560 cores x 1.57 GHz",
        "bandwidth": "NVIDIA Jetson T5000 data sheet",
        "memory": "tegrastats on such a module: 125772 MB",
        "modes": "NVIDIA Jetson T5000 data sheet; the share of the clock at 40 W is a guess",
        "tensorrt": "JetPack 7.0 release notes",
    },
)

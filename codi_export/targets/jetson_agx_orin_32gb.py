"""Jetson AGX Orin 32GB: 32 GB shared, 204.8 GB/s, 26.7 TFLOP/s fp16 at 930 MHz."""

from codi_export.targets import PowerMode, TargetSpec

TARGET = TargetSpec(
    name="jetson-agx-orin-32gb",
    device="Jetson AGX Orin 32GB",
    compute_capability="8.7",
    memory_bytes=32 * 2**30,
    usable_bytes=29673 * 2**20,
    bandwidth=204.8e9,
    rates={"fp32": 3.33e12, "tf32": 13.3e12, "fp16": 26.7e12, "bf16": 26.7e12, "int8": 53.3e12},
    modes=(
        PowerMode("15W", 15, 0.45, 102e9),
        PowerMode("30W", 30, 0.67, 204.8e9),
        PowerMode("MAXN", 0, 1.0, 204.8e9),
    ),
    tensorrt={"6.1": "10.3", "6.2": "10.3"},
    sources={
        "rates": "computed: 14 SMs x 0.93 GHz x 2048 FLOP a cycle (fp16); int8 twice, tf32 half, fp32 an eighth",
        "clocks, bandwidth": "NVIDIA Jetson AGX Orin series data sheet",
        "memory": "tegrastats on such a module: 30697 MB",
        "modes": "nvpmodel of JetPack 6; shares of the clock are approximate",
        "tensorrt": "JetPack 6.1 and 6.2 release notes",
    },
)

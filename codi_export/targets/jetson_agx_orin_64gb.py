"""Jetson AGX Orin 64GB: 64 GB shared, 204.8 GB/s, 42.6 TFLOP/s fp16 at 1300 MHz."""

from codi_export.targets import PowerMode, TargetSpec

TARGET = TargetSpec(
    name="jetson-agx-orin-64gb",
    device="Jetson AGX Orin 64GB",
    compute_capability="8.7",
    memory_bytes=64 * 2**30,
    usable_bytes=61817 * 2**20,
    bandwidth=204.8e9,
    rates={"fp32": 5.32e12, "tf32": 21.3e12, "fp16": 42.6e12, "bf16": 42.6e12, "int8": 85.2e12},
    modes=(
        PowerMode("15W", 15, 0.32, 102e9),
        PowerMode("30W", 30, 0.48, 204.8e9),
        PowerMode("50W", 50, 0.64, 204.8e9),
        PowerMode("MAXN", 0, 1.0, 204.8e9),
    ),
    tensorrt={"6.1": "10.3", "6.2": "10.3"},
    sources={
        "rates": "computed: 16 SMs x 1.3 GHz x 2048 FLOP a cycle (fp16); int8 twice, tf32 half, fp32 an eighth",
        "clocks, bandwidth": "NVIDIA Jetson AGX Orin series data sheet",
        "memory": "tegrastats on such a module: 62841 MB",
        "modes": "nvpmodel of JetPack 6; shares of the clock are approximate",
        "tensorrt": "JetPack 6.1 and 6.2 release notes",
    },
)

"""Jetson Orin Nano 8GB: 8 GB shared, 102 GB/s, 16.7 TFLOP/s fp16 at 1020 MHz."""

from codi_export.targets import PowerMode, TargetSpec

TARGET = TargetSpec(
    name="jetson-orin-nano-8gb",
    device="Jetson Orin Nano 8GB",
    compute_capability="8.7",
    memory_bytes=8 * 2**30,
    usable_bytes=6596 * 2**20,
    bandwidth=102e9,
    rates={"fp32": 2.09e12, "tf32": 8.4e12, "fp16": 16.7e12, "bf16": 16.7e12, "int8": 33.4e12},
    modes=(
        PowerMode("7W", 7, 0.4, 68e9),
        PowerMode("15W", 15, 0.61, 68e9),
        PowerMode("25W", 25, 0.9, 102e9),
        PowerMode("MAXN_SUPER", 0, 1.0, 102e9),
    ),
    tensorrt={"6.1": "10.3", "6.2": "10.3"},
    sources={
        "rates": "computed: 8 SMs x 1.02 GHz x 2048 FLOP a cycle (fp16); int8 twice, tf32 half, fp32 an eighth",
        "clocks, bandwidth": "NVIDIA Jetson Orin Nano series data sheet (Super mode: JetPack 6.2)",
        "memory": "tegrastats on such a module: 7620 MB",
        "modes": "nvpmodel of JetPack 6.2; shares of the clock are approximate",
        "tensorrt": "JetPack 6.1 and 6.2 release notes",
    },
)

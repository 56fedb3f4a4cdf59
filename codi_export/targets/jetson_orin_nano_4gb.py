"""Jetson Orin Nano 4GB: 4 GB shared, 51 GB/s, 8.4 TFLOP/s fp16 at 1020 MHz."""

from codi_export.targets import PowerMode, TargetSpec

TARGET = TargetSpec(
    name="jetson-orin-nano-4gb",
    device="Jetson Orin Nano 4GB",
    compute_capability="8.7",
    memory_bytes=4 * 2**30,
    usable_bytes=2447 * 2**20,
    bandwidth=51e9,
    rates={"fp32": 1.04e12, "tf32": 4.2e12, "fp16": 8.4e12, "bf16": 8.4e12, "int8": 16.7e12},
    modes=(
        PowerMode("7W", 7, 0.4, 34e9),
        PowerMode("10W", 10, 0.61, 34e9),
        PowerMode("25W", 25, 0.9, 51e9),
        PowerMode("MAXN_SUPER", 0, 1.0, 51e9),
    ),
    tensorrt={"6.1": "10.3", "6.2": "10.3"},
    sources={
        "rates": "computed: 4 SMs x 1.02 GHz x 2048 FLOP a cycle (fp16); int8 twice, tf32 half, fp32 an eighth",
        "clocks, bandwidth": "NVIDIA Jetson Orin Nano series data sheet (Super mode: JetPack 6.2)",
        "memory": "not seen: MemTotal in the proportion of the 8 GB module's",
        "modes": "nvpmodel of JetPack 6.2; shares of the clock are approximate",
        "tensorrt": "JetPack 6.1 and 6.2 release notes",
    },
)

"""Jetson Orin NX 8GB: 8 GB shared, 102 GB/s, 19.2 TFLOP/s fp16 at 1173 MHz."""

from codi_export.targets import PowerMode, TargetSpec

TARGET = TargetSpec(
    name="jetson-orin-nx-8gb",
    device="Jetson Orin NX 8GB",
    compute_capability="8.7",
    memory_bytes=8 * 2**30,
    usable_bytes=6596 * 2**20,
    bandwidth=102e9,
    rates={"fp32": 2.4e12, "tf32": 9.6e12, "fp16": 19.2e12, "bf16": 19.2e12, "int8": 38.4e12},
    modes=(
        PowerMode("10W", 10, 0.52, 102e9),
        PowerMode("15W", 15, 0.52, 102e9),
        PowerMode("20W", 20, 0.65, 102e9),
        PowerMode("MAXN_SUPER", 0, 1.0, 102e9),
    ),
    tensorrt={"6.1": "10.3", "6.2": "10.3"},
    sources={
        "rates": "computed: 8 SMs x 1.173 GHz x 2048 FLOP a cycle (fp16); int8 twice, tf32 half, fp32 an eighth",
        "clocks, bandwidth": "NVIDIA Jetson Orin NX series data sheet (Super mode: JetPack 6.2)",
        "memory": "not seen: MemTotal taken from Orin Nano 8GB, which has the same memory",
        "modes": "nvpmodel of JetPack 6.2; shares of the clock are approximate",
        "tensorrt": "JetPack 6.1 and 6.2 release notes",
    },
)

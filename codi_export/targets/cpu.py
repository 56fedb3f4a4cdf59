"""Two cores of a server CPU with AVX2: what the CPU figures of this project were measured on."""

from codi_export.targets import TargetSpec

TARGET = TargetSpec(
    name="cpu",
    device="2 cores, AVX2",
    compute_capability="",
    memory_bytes=8 * 10**9,
    usable_bytes=7 * 10**9,
    bandwidth=25e9,
    rates={"fp32": 0.2e12},
    emulated=("fp16", "bf16"),
    sources={
        "rates": "2 cores x 3.3 GHz x 32 FLOP a cycle (two fused multiply-adds of 8 numbers)",
        "bandwidth": "about what one core of a server reads from memory",
        "memory": "a small server's",
    },
)

"""One `TargetSpec` a file: a machine to plan and build for. Data only; every figure has its source beside it.

Rates are dense (no structured sparsity) and, for fp16 and bf16, with fp32 accumulation; GeForce cards are twice as
fast with fp16 accumulation. `usable_bytes` is what is left to us: of Jetson's shared memory the kernel's MemTotal less
1 GiB for a system without a desktop, of a card's its memory less 0.75 GiB for CUDA's context and the libraries; both
deductions are ours.
"""

from dataclasses import dataclass, field

from codi_export.errors import CodiError, ErrorCode

# TensorRT version -> newest ONNX opset that its parser reads; a version that is not here is as the next lower one.
# 10.3: the parser that JetPack 6 ships; 10.15 and 11: docs/operators.md of onnx-tensorrt, TensorRT 11's opset guide.
OPSETS = {(10, 0): 20, (10, 15): 24, (11, 0): 24, (11, 5): 25}

AUTOMATIC = ("fp32", "fp16")  # bf16 is never faster than fp16; int8 is measured on pictures, so it is asked for


@dataclass(frozen=True, slots=True)
class PowerMode:
    """A setting of nvpmodel: `speed` is its share of the target's rates, `bandwidth` in bytes/s; `watts` 0: no cap."""

    name: str
    watts: float
    speed: float
    bandwidth: float


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A machine to plan and build for, in bytes, bytes/s and FLOP/s (int8: operations/s), each with its source.

    `compute_capability` "8.7", empty for a CPU; `usable_bytes`: what an application may have of `memory_bytes`, which
    on a Jetson is shared with the CPU; `rates`: dense, by precision; `emulated`: precisions that run, slower than fp32;
    `tensorrt`: what each JetPack ships.
    """

    name: str
    device: str
    compute_capability: str
    memory_bytes: int
    usable_bytes: int
    bandwidth: float
    rates: dict[str, float]
    sources: dict[str, str]
    emulated: tuple[str, ...] = ()
    modes: tuple[PowerMode, ...] = ()
    tensorrt: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.usable_bytes <= self.memory_bytes:
            raise CodiError(ErrorCode.BAD_OPTION, f"target {self.name}: usable is more than there is")
        if "fp32" not in self.rates or not self.sources:
            raise CodiError(ErrorCode.BAD_OPTION, f"target {self.name}: expected a rate for fp32 and sources")

    @property
    def sm(self) -> int:
        """Compute capability as NVIDIA's tools write it, 87; 0 for a CPU."""
        return int(self.compute_capability.replace(".", "") or 0)


def choose(precision: str, target: TargetSpec) -> str:
    """What `auto` is on `target`: fp32 or fp16, whichever is faster there; anything else is itself."""
    if precision != "auto":
        return precision
    return max(AUTOMATIC, key=lambda name: target.rates.get(name, 0.0))


def reason(precision: str, target: TargetSpec) -> str:
    """Why `auto` came to be `precision`, in a sentence."""
    if precision == "fp32":
        return f"fp32, because {target.device} is not faster in fp16"
    faster = target.rates[precision] / max(target.rates["fp32"], target.rates.get("tf32", 0.0))
    return f"{precision}, because {target.device} computes it {faster:.1f} times as fast as fp32, with half the bytes"

"""One `TargetSpec` a file: a machine to plan and build for. Data only; every figure has its source beside it.

Rates are dense (no structured sparsity) and, for fp16 and bf16, with fp32 accumulation; GeForce cards are twice as
fast with fp16 accumulation. `usable_bytes` is what is left to us: of Jetson's shared memory the kernel's MemTotal less
1 GiB for a system without a desktop, of a card's its memory less 0.75 GiB for CUDA's context and the libraries; both
deductions are ours.
"""

from codi_export.spec import TargetSpec

# TensorRT version -> newest ONNX opset that its parser reads; a version that is not here is as the next lower one.
# 10.3: the parser that JetPack 6 ships; 10.15 and 11: docs/operators.md of onnx-tensorrt, TensorRT 11's opset guide.
OPSETS = {(10, 0): 20, (10, 15): 24, (11, 0): 24, (11, 5): 25}

AUTOMATIC = ("fp32", "fp16")  # bf16 is never faster than fp16; int8 is measured on pictures, so it is asked for


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

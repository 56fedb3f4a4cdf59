"""`python -m tests.benchmarks.compile_twins SM...`: each twin through Triton's compiler, for GPUs that are not here.

Prints the PTX of each kernel for the last of them.
"""

import inspect
import json
import sys
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.runtime.jit import JITFunction

from benchmarks.twins import geglu, group_norm_silu, image_io, noise, sampler_step

TYPES = {torch.float16: "*fp16", torch.float32: "*fp32", torch.uint8: "*u8"}


def call_all() -> None:
    """Each kernel once, with all that is optional."""
    half = torch.zeros(1, 4, 4, 64, dtype=torch.float16)
    row, picture = half[0, 0, 0], torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    geglu.geglu(half, row)
    group_norm_silu.group_norm_silu(half[..., 10:], row, row, 16, 1e-5, True, half[..., :10], row[None], half)
    sampler_step.sampler_step(half, half, half, "v_prediction", 0.6, 0.8, 0.8, 0.1, 0.6)
    noise.noise_like(half, -1, -1, -1, -1)
    image_io.image_to_tensor(picture, 8, 8)
    image_io.image_to_tensor(picture, 32, 32, dtype=torch.float16, channels_last=True)
    image_io.tensor_to_image(half.movedim(3, 1)[:, :3])


def main() -> None:
    made = {}

    def compiled(kernel: Any, *given: Any, grid: Any, warmup: bool, **options: Any) -> None:
        arguments = inspect.signature(kernel.fn).bind(*given).arguments
        constants = {p.name for p in kernel.params if p.is_constexpr}
        constants |= {name for name, value in arguments.items() if value is None}
        signature = {name: "constexpr" if name in constants else type_of(value) for name, value in arguments.items()}
        source = ASTSource(kernel, signature, {(kernel.arg_names.index(name),): arguments[name] for name in constants})
        for sm in map(int, sys.argv[1:]):
            binary = triton.compile(source, target=GPUTarget("cuda", sm, 32), options=options)
            made[kernel.fn.__name__] = binary.asm["ptx"]

    JITFunction.run = compiled
    call_all()
    print(json.dumps(made))


def type_of(value: Any) -> str:
    """As Triton finds it at a launch."""
    if isinstance(value, torch.Tensor):
        return TYPES[value.dtype]
    return "fp32" if isinstance(value, float) else "i32" if -(2**31) <= value < 2**31 else "i64"


if __name__ == "__main__":
    main()

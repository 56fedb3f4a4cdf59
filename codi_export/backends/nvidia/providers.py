"""ONNX Runtime's providers for NVIDIA GPUs: what each is called there, wants, and comes in."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Provider:
    """`full`: its name in onnxruntime; `package`: what brings it; `options`, in which `{cache}` is a folder of ours."""

    full: str
    package: str
    options: dict[str, str] = field(default_factory=dict)


# A CUDA graph replays a call as one launch: inputs and outputs must stay where they were, as `Bound` keeps them.
PROVIDERS = {
    "cuda": Provider(
        "CUDAExecutionProvider",
        "codi-export[gpu]",
        {
            "enable_cuda_graph": "1",
            "arena_extend_strategy": "kSameAsRequested",
            "cudnn_conv_algo_search": "EXHAUSTIVE",
            "cudnn_conv_use_max_workspace": "1",
        },
    ),
    "tensorrt": Provider(
        "TensorrtExecutionProvider",
        "codi-export[gpu,tensorrt]",
        {
            "trt_cuda_graph_enable": "1",
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": "{cache}",
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": "{cache}",
        },
    ),
    "tensorrt-rtx": Provider(
        "NvTensorRTRTXExecutionProvider",
        "onnxruntime-trt-rtx",
        {"enable_cuda_graph": "1", "nv_runtime_cache_path": "{cache}"},
    ),
}


def options(name: str, cache: Path, memory_bytes: int = 0) -> dict[str, str]:
    """The options of a provider; what it keeps between calls goes to `cache`. `memory_bytes` limits the CUDA provider's
    arena, and a TensorRT builder's workspace; 0 is no limit."""
    found = {key: value.format(cache=cache) for key, value in PROVIDERS[name].options.items()}
    limits = {"cuda": "gpu_mem_limit", "tensorrt": "trt_max_workspace_size", "tensorrt-rtx": "nv_max_workspace_size"}
    return found | ({limits[name]: str(memory_bytes)} if memory_bytes else {})

"""A bundle without a network in it: each pixel is repeated and the noise of its place is added. No torch.

Everything a runtime can get wrong shows: the output depends on both inputs, place by place, so a picture that was cut
into tiles must equal one that was not, and the one weight lies in a safetensors file beside the graph.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save, save_file

from codi_export import bundle
from codi_export.runtime.noise import normal
from codi_export.spec import AdapterSpec, BuildSpec, Graph, Manifest, Parity, Schedule, Step, TensorSpec

EXTRAS = {"mask", "prompt_embeds", "pooled_prompt_embeds", "adapter_scale"}  # inputs that a graph may have besides
PROMPT = (2, 3)  # T, D
POOLED = 5  # P
WEIGHT = 8.0  # levels of noise
FACTOR = 4  # output pixels per latent pixel
CHANNELS = 4


def reference(image: NDArray[np.uint8], noise: NDArray[np.float32], scale: int = 4) -> NDArray[np.uint8]:
    """What the graph computes: [B, H, W, 3] and [B, C, h, w] to [B, H', W', 3]. With extras, the noise is multiplied by
    adapter_scale, the sums of prompt_embeds and pooled_prompt_embeds are added to each pixel, and so is half the
    mask."""
    pixels = image.repeat(scale, axis=1).repeat(scale, axis=2).astype(np.float32)
    grain = np.float32(WEIGHT) * noise[:, 0].repeat(FACTOR, axis=1).repeat(FACTOR, axis=2)[..., None]
    return np.rint(np.clip(pixels + grain, 0, 255)).astype(np.uint8)


def write(
    folder: Path,
    tasks: tuple[str, ...] = ("sr",),
    steps: tuple[int, ...] = (2,),
    batch: int = 1,
    size: int = 16,
    scale: int = 4,
    extras: Collection[str] = (),
    blurs: int = 0,
) -> Manifest:
    """Write a finished bundle whose graphs take pictures of `size` x `size`; returns its manifest. Graphs that take
    `extras` have no golden, and neither have those that end with `blurs` convolutions, which look at neighbours; their
    weights are sums of powers of two and their grain is whole, so that floating point is exact."""
    for name in ("graphs", "golden"):
        (folder / name).mkdir(parents=True)
    graphs = tuple(_graph(task, n, batch, size, scale, extras or blurs) for task in tasks for n in steps)
    (folder / "graphs/fake.safetensors").write_bytes(save({"weight": np.array([WEIGHT], np.float32)}))
    for graph in graphs:
        _write_graph(folder, graph, blurs)
        if graph.golden:
            _write_golden(folder, graph)
    paths = [path for graph in graphs for path in (graph.path, graph.golden) if path]
    manifest = Manifest(
        builds=tuple(BuildSpec(task=task, steps=steps, batch_size=batch) for task in tasks),
        adapters={task: AdapterSpec(task=task) for task in tasks},
        graphs=graphs,
        files=tuple(bundle.file_entry(folder, path) for path in ["graphs/fake.safetensors", *paths]),
        licences={"fake": "CC0-1.0"},
    )
    bundle.write_manifest(folder, manifest)
    return manifest


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a bundle by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _graph(task: str, n: int, batch: int, size: int, scale: int, extras: Collection[str] | int) -> Graph:
    out, latent = size * scale, size * scale // FACTOR
    name = f"{task}-{n}step"
    more = {
        "mask": TensorSpec("mask", "uint8", (batch, size, size, 1)),
        "prompt_embeds": TensorSpec("prompt_embeds", "float32", (batch, *PROMPT)),
        "pooled_prompt_embeds": TensorSpec("pooled_prompt_embeds", "float32", (batch, POOLED)),
        "adapter_scale": TensorSpec("adapter_scale", "float32", ()),
    }
    return Graph(
        name=name,
        task=task,
        path=f"graphs/{name}.onnx",
        sampler="prev",
        precision="fp32",
        schedule=Schedule(tuple(Step(t, 0.6, 0.8) for t in range(999, 999 - 200 * n, -200)), "v_prediction"),
        inputs=(
            TensorSpec("image", "uint8", (batch, size, size, 3)),
            TensorSpec("noise", "float32", (batch, CHANNELS, latent, latent)),
            *(more[name] for name in more if not isinstance(extras, int) and name in extras),
        ),
        outputs=(TensorSpec("output", "uint8", (batch, out, out, 3)),),
        scale=scale,
        latent_factor=FACTOR,
        golden="" if extras else f"golden/{name}.safetensors",
        parity=Parity(100.0, 0.0, 0),
    )


def _write_golden(folder: Path, graph: Graph) -> None:
    image_shape, noise_shape = (tuple(int(n) for n in spec.shape) for spec in graph.inputs)
    image = np.random.default_rng(0).integers(0, 256, image_shape, np.uint8)
    b, c, h, w = noise_shape
    noise = normal(0, (b, c, h, w))
    output = reference(image, noise, graph.scale)
    save_file({"image": image, "noise": noise, "output": output}, folder / graph.golden)


def _write_graph(folder: Path, graph: Graph, blurs: int = 0) -> None:
    (b, size, _, _), (_, c, latent, _) = (tuple(int(n) for n in spec.shape) for spec in graph.inputs[:2])
    out, extras = size * graph.scale, {spec.name for spec in graph.inputs} & EXTRAS
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        *_extra_nodes(extras),
        *_repeat("tinted", "large", (b, size, size, 3), graph.scale),
        helper.make_node("Gather", ["noise", "first"], ["channel"], axis=1),
        helper.make_node("Mul", ["channel", "strength"], ["real"]),
        helper.make_node("Round" if blurs else "Identity", ["real"], ["grain"]),
        *_repeat("grain", "grains", (b, latent, latent, 1), FACTOR),
        helper.make_node("Add", ["large", "grains"], ["sum"]),
        *_blurred(blurs),
        helper.make_node("Clip", ["blurred", "low", "high"], ["clipped"]),
        helper.make_node("Round", ["clipped"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["output"], to=TensorProto.UINT8),
    ]
    inputs = [
        helper.make_tensor_value_info("image", TensorProto.UINT8, [b, size, size, 3]),
        helper.make_tensor_value_info("noise", TensorProto.FLOAT, [b, c, latent, latent]),
        *(_value(spec) for spec in graph.inputs[2:]),
    ]
    outputs = [helper.make_tensor_value_info("output", TensorProto.UINT8, [b, out, out, 3])]
    constants = {
        "first": np.int64(0),
        "low": np.float32(0),
        "high": np.float32(255),
        "half": np.float32(0.5),
        "one": np.float32(1),
    }
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    body = helper.make_graph(nodes, graph.name, inputs, outputs, [_external_weight(folder), *initializers])
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save_model(model, folder / graph.path)


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    kind = TensorProto.UINT8 if spec.dtype == "uint8" else TensorProto.FLOAT
    return helper.make_tensor_value_info(spec.name, kind, spec.shape)


def _extra_nodes(extras: set[str]) -> list[onnx.NodeProto]:
    """`pixels` and `weight` to `tinted` and `strength`."""
    nodes, tinted = [], "pixels"
    if "mask" in extras:
        nodes += [helper.make_node("Cast", ["mask"], ["mask_pixels"], to=TensorProto.FLOAT)]
        nodes += [helper.make_node("Mul", ["mask_pixels", "half"], ["shade"])]
        nodes += [helper.make_node("Add", [tinted, "shade"], ["masked"])]
        tinted = "masked"
    for name in ("prompt_embeds", "pooled_prompt_embeds"):
        if name in extras:
            nodes += [helper.make_node("ReduceSum", [name], [f"{name}_sum"], keepdims=0)]
            nodes += [helper.make_node("Add", [tinted, f"{name}_sum"], [f"{name}_tinted"])]
            tinted = f"{name}_tinted"
    nodes += [helper.make_node("Identity", [tinted], ["tinted"])]
    factors = ["weight", "adapter_scale" if "adapter_scale" in extras else "one"]
    return [*nodes, helper.make_node("Mul", factors, ["strength"])]


def _blurred(times: int) -> list[onnx.NodeProto]:
    """`sum` to `blurred`, [B, H, W, 3]: [1 2 1] / 4 along both axes, zeros beyond the edge."""
    kernel = np.outer([1, 2, 1], [1, 2, 1]).astype(np.float32)[None, None].repeat(3, axis=0) / 16
    nodes = [helper.make_node("Constant", [], ["kernel"], value=numpy_helper.from_array(kernel))]
    nodes += [helper.make_node("Transpose", ["sum"], ["blur0"], perm=[0, 3, 1, 2])]
    for i in range(times):
        names = [f"blur{i}", "kernel"], [f"blur{i + 1}"]
        nodes += [helper.make_node("Conv", *names, group=3, pads=[1, 1, 1, 1])]
    return [*nodes, helper.make_node("Transpose", [f"blur{times}"], ["blurred"], perm=[0, 2, 3, 1])]


def _repeat(source: str, target: str, shape: tuple[int, ...], times: int) -> list[onnx.NodeProto]:
    """[B, H, W, C] to [B, H times, W times, C]."""
    b, h, w, c = shape
    shapes = ([b, h, 1, w, 1, c], [b, h, times, w, times, c], [b, h * times, w * times, c])
    names = [source, f"{target}_split", f"{target}_repeated", target]
    nodes = []
    for op, before, after, sizes in zip(("Reshape", "Expand", "Reshape"), names, names[1:], shapes, strict=False):
        constant = numpy_helper.from_array(np.array(sizes, np.int64))
        nodes += [helper.make_node("Constant", [], [f"{after}_shape"], value=constant)]
        nodes += [helper.make_node(op, [before, f"{after}_shape"], [after])]
    return nodes


def _external_weight(folder: Path) -> TensorProto:
    header = int.from_bytes((folder / "graphs/fake.safetensors").read_bytes()[:8], "little")
    tensor = TensorProto(name="weight", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in {"location": "fake.safetensors", "offset": 8 + header, "length": 4}.items():
        tensor.external_data.add(key=key, value=str(value))
    return tensor

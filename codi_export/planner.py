"""What a graph takes on a target: memory at export, at build and at run, and the fastest it could run.

Computed from the costs of its nodes, never measured. A roofline is a bound that no runtime beats: products at the
target's full rate or its full bandwidth, whichever takes longer, and all other work free, as if fused into them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from codi_export import costs
from codi_export.costs import NodeCost
from codi_export.errors import CodiError, ErrorCode
from codi_export.spec import GRAPH_OPSETS, Graph
from codi_export.targets import OPSETS, TargetSpec, choose

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int8": 1, "fp8": 1}
STEPS = (1, 2, 4)
BF16_SM = 80  # Ampere, the first generation with bfloat16 products
PARTS = ("unet", "adapter", "vae")

# Bytes beside weights and activations, by where they were seen.
INTERPRETER = 62 * 2**20  # Python with numpy and onnxruntime, and the code of it that a run touches
NODE = 4700  # of an onnxruntime session, for each node of the graph
ARENA = 1.6  # what its arena takes for a byte of live activations: 1.4 to 2.4, most where convolutions are
RETURNED = 32 * 2**20  # freed blocks from this size on leave the process: glibc's largest M_MMAP_THRESHOLD
EXPORTER = 560 * 2**20  # Python with torch, diffusers and transformers
BUILDER = 400 * 2**20  # Python with TensorRT's builder
COPIES = 3.4  # of the weights while TensorRT-RTX 1.7 builds: 8.3 GB for 2.44 GB of them


@dataclass(frozen=True, slots=True)
class Workload:
    """A graph, or what would become one: its nodes, and the precision that their bytes are counted in."""

    name: str
    steps: int
    precision: str
    weight_bytes: int
    nodes: tuple[NodeCost, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of the work: products, bytes that these move, and the least time for both."""

    name: str
    flops: int
    bytes: int
    roofline_ms: float


@dataclass(frozen=True, slots=True)
class Memory:
    """Peak bytes: `export` on the machine that exports, `build` and `run` on the target."""

    export: int
    build: int
    run: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`roofline_ms`: N -> whole graph at N steps; `shares`: part -> its fraction of that bound at the graph's own
    steps; `advice`: what would make it fit, or nothing."""

    graph: str
    target: str
    precision: str
    mode: str
    fits: bool
    usable_bytes: int
    peak_bytes: Memory
    stages: tuple[Stage, ...]
    roofline_ms: dict[str, float]
    shares: dict[str, float]
    advice: tuple[str, ...]


def workload(folder: Path, graph: Graph) -> Workload:
    """A graph of the bundle `folder`. Raises CodiError (bad-bundle) for bundles that do not say what nodes cost."""
    return Workload(graph.name, graph.steps, arithmetic(graph.precision), graph.weight_bytes, costs.read(folder, graph))


def arithmetic(precision: str) -> str:
    """What a graph computes in: a CPU's runtime unpacks weights that are only stored in int8 when it loads them."""
    return "fp32" if precision == "int8-weights" else precision


def plan(work: Workload, target: TargetSpec, precision: str = "auto", mode: str = "") -> Plan:
    """What `work` takes on `target` in `precision`, in a power mode of it; "" is the fastest.

    Raises CodiError (bad-option, unknown-name) for a precision or a mode that the target does not have.
    """
    precision = choose(precision, target)
    refuse(target, precision)
    target = in_mode(target, mode)
    work = converted(work, precision)
    memory = peak_memory(work, target)
    fits = max(memory.build, memory.run) <= target.usable_bytes
    stages = tuple(_stage(name, nodes, target, precision) for name, nodes in costs.by_stage(work.nodes).items())
    return Plan(
        graph=work.name,
        target=target.name,
        precision=precision,
        mode=mode or (target.modes[-1].name if target.modes else ""),
        fits=fits,
        usable_bytes=target.usable_bytes,
        peak_bytes=memory,
        stages=stages,
        roofline_ms={str(steps): at_steps(stages, steps) for steps in STEPS},
        shares=_shares(work.nodes, target, precision),
        advice=() if fits else tuple(_advice(work, target, precision)),
    )


def refuse(target: TargetSpec, precision: str, opset: int = 0) -> None:
    """Raise CodiError (bad-option) for what `target` cannot do, before hours are spent on it: a precision that its
    hardware lacks or imitates, an ONNX opset that the parser of its TensorRT does not read."""
    natively = " or ".join(f"--precision {name}" for name in target.rates if name in BYTES)
    if target.sm:
        refuse_gpu(target.device, target.sm, precision)
    precision = arithmetic(precision)
    if precision in target.emulated:
        raise CodiError(
            ErrorCode.BAD_OPTION, f"{target.device} only imitates {precision}: slower than fp32", f"choose {natively}"
        )
    if precision not in target.rates:
        raise CodiError(ErrorCode.BAD_OPTION, f"{target.device} has no {precision} arithmetic", f"choose {natively}")
    for jetpack, version in target.tensorrt.items():
        if opset > (newest := parsed_opset(version)):
            raise CodiError(
                ErrorCode.BAD_OPTION,
                f"the graph is opset {opset}; JetPack {jetpack} on {target.device} has TensorRT {version}, which reads "
                f"up to {newest}",
                f"--precision fp16 makes a graph of opset {GRAPH_OPSETS['fp16']}",
            )


def refuse_gpu(name: str, sm: int, precision: str) -> None:
    """Raise CodiError (bad-option) for what a GPU of compute capability `sm` only imitates, and for what no TensorRT
    builds: TensorRT-RTX 1.7 takes weights in int8 only where their inputs are int8 too."""
    if precision == "int8-weights":
        raise CodiError(ErrorCode.BAD_OPTION, f"{precision} is for CPUs, not for {name}", "--precision int8 or fp16")
    if precision == "bf16" and sm < BF16_SM:
        raise CodiError(
            ErrorCode.BAD_OPTION, f"{name} (SM {sm}) only imitates bf16: slower than fp32", "--precision fp16"
        )


def parsed_opset(version: str) -> int:
    """The newest opset that TensorRT `version` ("10.3") reads."""
    numbers = tuple(map(int, version.split(".")[:2]))
    return max((opset for known, opset in OPSETS.items() if known <= numbers), default=min(OPSETS.values()))


def refusal(found: Plan) -> CodiError:
    """What a plan that does not fit is told with."""
    need = max(found.peak_bytes.build, found.peak_bytes.run)
    return CodiError(
        ErrorCode.DOES_NOT_FIT,
        f"{found.graph} in {found.precision} needs {need / 1e9:.1f} GB on {found.target}, "
        f"which has {found.usable_bytes / 1e9:.1f} GB for it",
        "; ".join(found.advice),
    )


def require(work: Workload, target: TargetSpec) -> None:
    """Raise CodiError (does-not-fit) with advice if `work`, as it is, cannot be built and run on `target`."""
    found = plan(work, target, work.precision)
    if not found.fits:
        raise refusal(found)


def in_mode(target: TargetSpec, mode: str) -> TargetSpec:
    """The target as slow as nvpmodel's `mode` makes it. Raises CodiError (unknown-name)."""
    if not mode:
        return target
    found = [one for one in target.modes if one.name == mode]
    if not found:
        there = ", ".join(one.name for one in target.modes) or "none"
        raise CodiError(ErrorCode.UNKNOWN_NAME, f"{target.name} has no power mode '{mode}'", f"its modes: {there}")
    rates = {name: rate * found[0].speed for name, rate in target.rates.items()}
    return replace(target, rates=rates, bandwidth=found[0].bandwidth)


def converted(work: Workload, precision: str) -> Workload:
    """The same work with numbers of `precision`; int8 and fp8 weights leave activations at two bytes."""
    weights = BYTES[precision] / BYTES[work.precision]
    others = max(BYTES[precision], 2) / max(BYTES[work.precision], 2)

    def convert(node: NodeCost) -> NodeCost:
        read = (node.bytes_read - node.weight_bytes) * others + node.weight_bytes * weights
        return replace(
            node,
            bytes_read=round(read),
            bytes_written=round(node.bytes_written * others),
            weight_bytes=round(node.weight_bytes * weights),
            live_bytes=round(node.live_bytes * others),
        )

    nodes = tuple(convert(node) for node in work.nodes)
    return replace(work, precision=precision, weight_bytes=round(work.weight_bytes * weights), nodes=nodes)


def peak_memory(work: Workload, target: TargetSpec) -> Memory:
    """Peaks in bytes. On a CPU by ONNX Runtime, which builds nothing; on a GPU by TensorRT."""
    live = max(node.live_bytes for node in work.nodes)
    wide = converted(work, "fp32")
    session = _session(wide)
    export = EXPORTER + wide.weight_bytes + session  # the graph is compared with torch, both in memory
    if not target.sm:
        return Memory(export, 0, INTERPRETER + session)
    build = BUILDER + round(COPIES * work.weight_bytes) + live  # tactics are timed on live activations
    return Memory(export, build, work.weight_bytes + live)


def _session(work: Workload) -> int:
    """The peak of an ONNX Runtime session on a CPU, `work` in fp32. It reads weights as they are stored, in half the
    bytes, widens them, and lays those of convolutions out anew; of what it frees of these, small blocks stay."""
    once = [node for node in work.nodes if node.stage in ("condition", "step1", "decode")]  # all steps share weights
    stored = sum(node.weight_bytes // 2 for node in once if node.weight_bytes // 2 < RETURNED)
    laid_out = [node.weight_bytes for node in once if node.op == "Conv"]
    opening = sum(laid_out)
    running = sum(size for size in laid_out if size < RETURNED) + ARENA * max(node.live_bytes for node in work.nodes)
    return NODE * len(work.nodes) + work.weight_bytes + stored + round(max(opening, running))


def at_steps(stages: Sequence[Stage], steps: int) -> float:
    """The bound at another number of steps: the last step of the graph, which shares nothing, is the one repeated."""
    by_name = {stage.name: stage.roofline_ms for stage in stages}
    taken = sorted((name for name in by_name if name.startswith("step")), key=lambda name: int(name[4:]))
    around = sum(time for name, time in by_name.items() if name not in taken)
    return around + by_name[taken[0]] + (steps - 1) * by_name[taken[-1]]


def node_seconds(node: NodeCost, target: TargetSpec, precision: str) -> float:
    """The least time for one node; nothing if it has no products."""
    if not node.flops:
        return 0.0
    half = precision in ("int8", "fp8") and not node.weight_bytes  # attention's own products are not quantised
    name = "fp16" if half else precision
    rate = max(target.rates[name], target.rates.get("tf32", 0) if name == "fp32" else 0)
    return max(node.flops / rate, (node.bytes_read + node.bytes_written) / target.bandwidth)


def _stage(name: str, nodes: Iterable[NodeCost], target: TargetSpec, precision: str) -> Stage:
    products = [node for node in nodes if node.flops]
    moved = sum(node.bytes_read + node.bytes_written for node in products)
    seconds = sum(node_seconds(node, target, precision) for node in products)
    return Stage(name, sum(node.flops for node in products), moved, 1000 * seconds)


def _shares(nodes: Sequence[NodeCost], target: TargetSpec, precision: str) -> dict[str, float]:
    seconds = dict.fromkeys((*PARTS, "other"), 0.0)
    for node in nodes:
        part = node.module.partition(".")[0]
        part = {"others": "adapter"}.get(part, part)
        seconds[part if part in PARTS else "other"] += node_seconds(node, target, precision)
    total = sum(seconds.values()) or 1.0
    return {part: time / total for part, time in seconds.items()}


def _advice(work: Workload, target: TargetSpec, precision: str) -> Iterable[str]:
    """The knobs that make it fit, each by itself; steps are none, for all share the weights."""
    knobs = {f"--precision {name}": converted(work, name) for name in _smaller(precision, target)}
    tiled = tuple(replace(node, live_bytes=node.live_bytes // 4) for node in work.nodes)
    knobs["--height and --width of half the size (larger pictures are tiled)"] = replace(work, nodes=tiled)
    knobs["a tiny VAE (diffusers' AutoencoderTiny)"] = _without_decoder(work)
    fitting = False
    for knob, changed in knobs.items():
        memory = peak_memory(changed, target)
        if max(memory.build, memory.run) <= target.usable_bytes:
            fitting = True
            yield f"{knob}: {max(memory.build, memory.run) / 1e9:.1f} GB"
    if peak_memory(work, target).run <= target.usable_bytes < peak_memory(work, target).build:
        yield "the engine would run but not build there: build it on a machine of the same GPU kind with more memory"
    elif not fitting:
        yield "no single change makes it fit: a smaller backbone"


def _smaller(precision: str, target: TargetSpec) -> list[str]:
    return [name for name in ("fp16", "int8") if name in target.rates and BYTES[name] < BYTES[precision]]


def _without_decoder(work: Workload) -> Workload:
    """Without the VAE's share of weights and activations: what a tiny one leaves of both is small."""
    rest = [node for node in work.nodes if not node.module.startswith("vae.")]
    own = sum(node.weight_bytes for node in work.nodes if node.module.startswith("vae."))
    return replace(work, weight_bytes=max(work.weight_bytes - own, 0), nodes=tuple(rest))

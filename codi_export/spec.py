"""What a build is asked for, and what a bundle's manifest says: frozen records, checked when they are made.

Standard library only. Behaviour lives in functions over these records; `records` turns any of them into JSON values and
back. A record of one subject lies with it: `targets.TargetSpec`, `engines.Engine`, `costs.NodeCost`.
"""

from dataclasses import dataclass, field
from typing import Literal

from codi_export.errors import CodiError, ErrorCode

# Of a computation; weights are stored as float16, but for the last two. `int8-weights` computes in float32.
Precision = Literal["fp32", "fp16", "bf16", "int8", "int8-weights"]
PrecisionChoice = Literal["auto", "fp32", "fp16", "bf16", "int8", "int8-weights"]  # auto: fp32 on a CPU, fp16 on a GPU
QUANTIZED: tuple[Precision, ...] = ("int8", "int8-weights")
PredictionType = Literal["epsilon", "v_prediction", "sample"]
Dim = int | str  # a fixed size, or the name of a free one

# The ONNX opset of a graph by what it computes in: TensorRT 10.3 on JetPack 6 parses 18, which has no convolution in
# bfloat16 and no quantisation of float16.
GRAPH_OPSETS: dict[Precision, int] = {"fp32": 18, "fp16": 18, "bf16": 22, "int8": 19, "int8-weights": 18}

SCHEMA_VERSION = 1
PORTABLE = "portable"  # the graph that every runtime opens
MAX_STEPS = 4
MAX_GUIDANCE = 30


def _require(condition: bool, message: str, hint: str = "") -> None:
    if not condition:
        raise CodiError(ErrorCode.BAD_OPTION, message, hint)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A graph's input or output."""

    name: str
    dtype: str
    shape: tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One denoiser evaluation: z = alpha x + sigma eps at timestep t, alpha^2 + sigma^2 = 1."""

    t: int
    alpha: float
    sigma: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """The constants of N steps, from noise (first) to data (last). `len()` counts denoiser evaluations."""

    steps: tuple[Step, ...]
    prediction_type: PredictionType

    def __post_init__(self) -> None:
        ts = [step.t for step in self.steps]
        _require(bool(ts), "a schedule needs at least one step")
        _require(ts == sorted(set(ts), reverse=True), f"timesteps must fall strictly, got {ts}")

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """What an adapter was trained for: its `codi_adapter.json`."""

    task: str
    condition: Literal["pixels", "unshuffled"] = "pixels"
    trunk: int = 0  # residual blocks of a deep condition embedding; 0: the ControlNet's own
    reads: bool = False  # whether these read the prompt
    predictor: Literal["prev", "ddim"] = "prev"
    train_timesteps: int = 1000
    L: int = 50
    gap: int = 20
    offset: int = -1
    guidance: tuple[float, float] = (1.0, 1.0)
    final: Literal["x"] = "x"
    backprojection: float = 0.0
    image_size: int = 0  # side of the output, in pixels, that it was trained for; 0: the backbone's
    timesteps: dict[str, tuple[int, ...]] = field(default_factory=dict)  # N -> list, chosen on the validation slice


@dataclass(frozen=True, slots=True)
class BuildSpec:
    """Everything the user chose; copied whole into the manifest. Height and width: output pixels, 0 = backbone's."""

    task: str
    steps: tuple[int, ...]
    model: str = "mini"
    adapters: tuple[str, ...] = ()  # DIR or DIR:SCALE; several are summed; none: the model's own
    loras: tuple[str, ...] = ()  # files, each with :scale behind it if that is not 1
    vae: str = "full"  # the model's own; `tiny`: its vae_tiny/; or a folder
    sampler: str = ""  # empty: what the adapter was trained for
    precision: PrecisionChoice = "auto"
    calibration: str = ""  # a folder of pictures that ranges are measured on; empty: the zoo's photo
    target: str = ""  # a machine that it must fit, and that `auto` is chosen for; the graphs stay portable
    height: int = 0
    width: int = 0
    batch_size: int = 1
    prompt: str | None = None  # None = the task's own
    negative_prompt: str = ""  # what guidance leads away from
    guidance: float = 1.0  # classifier-free, built in; 1: off
    adapter_scale_input: bool = False  # each call says how much the adapter adds
    text_input: bool = False  # each call brings its prompt; always so for tasks that read one
    min_psnr: float = 0.0  # dB; 0: the precision's own

    def __post_init__(self) -> None:
        for n in self.steps:
            _require(1 <= n <= MAX_STEPS, f"--steps {n}: expected 1 to {MAX_STEPS}")
        _require(
            bool(self.steps) and len(set(self.steps)) == len(self.steps),
            f"--steps: expected distinct numbers, got {self.steps}",
        )
        _require(1 <= self.guidance <= MAX_GUIDANCE, f"--guidance {self.guidance}: expected 1 (off) to {MAX_GUIDANCE}")
        _require(
            self.guidance > 1 or not self.negative_prompt,
            f"--negative-prompt {self.negative_prompt!r} has no effect without guidance",
            "--guidance 5 is usual",
        )
        _require(self.batch_size >= 1, f"--batch-size {self.batch_size}: expected at least 1")
        _require(
            self.height >= 0 and self.width >= 0, f"--height {self.height} --width {self.width}: expected 1 or more"
        )

    @property
    def graphs(self) -> tuple[str, ...]:
        """What the graphs are called."""
        return tuple(f"{self.task}-{n}step" for n in self.steps)


@dataclass(frozen=True, slots=True)
class Parity:
    """How far a graph is from the torch pipeline, both fed the same photo and the same noise.

    `image_psnr_db`: float image before quantisation, peak 2 (images in [-1, 1]); `latent_rms`: worst relative RMS over
    every step's z and the final x; `max_level`: largest difference of the uint8 images.
    """

    image_psnr_db: float
    latent_rms: float
    max_level: int


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a graph may be from the torch pipeline, in the terms of `Parity`. `max_level` holds on a CPU, None is
    any; elsewhere `verify` compares 8-bit pictures by `elsewhere_db`."""

    latent_rms: float
    image_psnr_db: float
    max_level: int | None
    elsewhere_db: float = 40.0


TOLERANCES: dict[Precision, Tolerance] = {
    # float32, relative: 1000 roundings; a wrong constant or a missing term costs 1e-2 and more. Equal floats round to
    # equal levels, nearly equal ones to neighbours.
    "fp32": Tolerance(latent_rms=1e-4, image_psnr_db=60.0, max_level=1),
    "fp16": Tolerance(latent_rms=2e-2, image_psnr_db=40.0, max_level=None),
    "bf16": Tolerance(latent_rms=2e-2, image_psnr_db=40.0, max_level=None),
    # 35 dB: an error three times finer than what the best of our super-resolution pictures is from the original
    **dict.fromkeys(QUANTIZED, Tolerance(latent_rms=5e-2, image_psnr_db=35.0, max_level=None, elsewhere_db=32.0)),
}


@dataclass(frozen=True, slots=True)
class Graph:
    """One task at one number of steps: an ONNX file and what a runtime must know to call it.

    `latent_factor` is output pixels per latent pixel; `golden` is a safetensors file with `image`, `noise`, `output`,
    where `output` is the torch reference's. Parity and golden are those of the adapter file with `adapter_sha256`;
    after a swap they say nothing. `storage`: how far the stored weights are from the original ones, both in torch;
    `parity` is the graph's distance from torch with the stored weights.
    """

    name: str
    task: str
    path: str
    sampler: str
    precision: Precision
    schedule: Schedule
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    scale: int
    latent_factor: int
    golden: str
    parity: Parity
    tolerance: Tolerance = TOLERANCES["fp32"]
    storage: Parity = Parity(200.0, 0.0, 0)
    adapter_sha256: str = ""
    warnings: tuple[str, ...] = ()
    cost: str = ""  # a file with a `NodeCost` for each node
    lowerings: dict[str, str] = field(default_factory=dict)  # name -> the same graph, as one runtime likes it
    weight_bytes: int = 0  # of all its constants, each counted once
    islands: tuple[str, ...] = ()  # modules and values that stay in a wider type than `precision`
    speed: dict[str, float] = field(default_factory=dict)  # backend -> CPU time over that of fp32, measured at build

    @property
    def steps(self) -> int:
        return len(self.schedule)

    def lowered(self, wanted: str) -> tuple[str, str]:
        """What a runtime opens that wants a lowering, name and path: it if it was built, else the portable graph."""
        return (wanted, self.lowerings[wanted]) if wanted in self.lowerings else (PORTABLE, self.path)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """A file of the bundle as it was written. `layout`: of a safetensors file, the hash of its header; files of one
    layout may stand in for each other."""

    path: str
    bytes: int
    sha256: str
    layout: str = ""


@dataclass(frozen=True, slots=True)
class Manifest:
    """codi.json: written last, so a folder without one is not a bundle.

    `builds`: the options of every build that added graphs, in order; `adapters` by task, and so are their licences.
    """

    builds: tuple[BuildSpec, ...]
    adapters: dict[str, AdapterSpec]
    graphs: tuple[Graph, ...]
    files: tuple[FileEntry, ...]
    licences: dict[str, str] = field(default_factory=dict)
    tools: dict[str, str] = field(default_factory=dict)
    # Of a bundle that reads prompts: input_ids int64 [1, T] -> prompt_embeds [1, T, D]; of an SDXL's, input_ids and
    # input_ids_2, by two tokenizers, -> prompt_embeds and pooled_prompt_embeds [1, P].
    text_encoder: str = ""
    tokenizer: str = ""
    tokenizer_2: str = ""
    own_unet: bool = False  # the adapter brought a U-Net or changes to it: no other adapter was made for that one
    schema: int = SCHEMA_VERSION

    def swapped(self, graph: Graph) -> bool:
        """Whether the task has another adapter now than when the graph was compared with torch."""
        now = {entry.path: entry.sha256 for entry in self.files}.get(f"graphs/{graph.task}.safetensors", "")
        return bool(graph.adapter_sha256) and now != graph.adapter_sha256

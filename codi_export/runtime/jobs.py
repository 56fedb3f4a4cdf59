"""Which input file becomes which output file: settled, with every clash found, before anything runs."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codi_export import files
from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime import image
from codi_export.runtime.color import ColorFix
from codi_export.runtime.session import Progress, Session, Tile


@dataclass(frozen=True, slots=True)
class Job:
    """Read `source` (and its `mask`), write `target`."""

    source: Path
    target: Path
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """A job's output: its size, how long the session took (files not counted), and what reading or writing changed."""

    height: int
    width: int
    latency_ms: float
    notices: tuple[str, ...]


def plan(inputs: Sequence[Path], out: Path, overwrite: bool = False, mask: Path | None = None) -> list[Job]:
    """Jobs for files and folders (a folder means its images, by name). `out` is a file for one file, else a folder.

    In a folder outputs keep their names; what cannot be written in its own format becomes .png. `mask` is a file for
    all inputs, or a folder that has one of the same stem for each. Raises CodiError (missing-file, bad-option,
    output-exists); an input is never overwritten.
    """
    sources = [source for path in inputs for source in _expand(path)]
    one_file = len(inputs) == 1 and not inputs[0].is_dir() and not out.is_dir()
    if not one_file and (out.suffix.lower() in image.FORMATS or out.is_file()):
        raise CodiError(
            ErrorCode.BAD_OPTION, f"-o {out} is a file; several inputs need a folder", "name a folder, such as -o out"
        )
    jobs = [Job(source, out if one_file else out / _name(source), _mask(mask, source)) for source in sources]
    _check(jobs, overwrite)
    return jobs


def run(
    session: Session,
    job: Job,
    seed: int = 0,
    tile: Tile = "auto",
    progress: Progress | None = None,
    prompt: str | None = None,
    adapter_scale: float | None = None,
    color_fix: ColorFix = "none",
) -> Done:
    """Do one job. Alpha is enlarged bicubically and put back. Raises CodiError, and then nothing was written."""
    picture = image.read(job.source)
    mask = None if job.mask is None else image.read(job.mask).pixels.max(axis=2)
    start = time.perf_counter()
    pixels = session(
        picture.pixels,
        seed,
        tile,
        progress,
        mask=mask,
        prompt=prompt,
        adapter_scale=adapter_scale,
        color_fix=color_fix,
    )
    latency_ms = (time.perf_counter() - start) * 1000.0
    height, width = pixels.shape[:2]
    alpha = None if picture.alpha is None else image.resize_bicubic(picture.alpha, height, width)
    with files.writing(job.target.parent):
        job.target.parent.mkdir(parents=True, exist_ok=True)
    notices = image.write(job.target, image.Picture(pixels, alpha, picture.profile))
    return Done(height, width, latency_ms, picture.notices + notices)


def _expand(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = sorted(file for file in path.iterdir() if file.suffix.lower() in image.READABLE)
    if not found:
        raise CodiError(
            ErrorCode.MISSING_FILE, f"{path} holds no images", f"known: {', '.join(sorted(image.READABLE))}"
        )
    yield from found


def _mask(mask: Path | None, source: Path) -> Path | None:
    if mask is None or not mask.is_dir():
        return mask
    found = sorted(file for file in mask.iterdir() if file.stem == source.stem and file.suffix in image.READABLE)
    if len(found) != 1:
        raise CodiError(
            ErrorCode.MISSING_FILE,
            f"{mask} holds {len(found)} masks for {source}",
            f"expected one, such as {mask / source.stem}.png",
        )
    return found[0]


def _name(source: Path) -> str:
    return source.name if source.suffix.lower() in image.FORMATS else f"{source.stem}.png"


def _check(jobs: list[Job], overwrite: bool) -> None:
    sources = {job.source.resolve() for job in jobs}
    makers: dict[Path, Path] = {}
    for job in jobs:
        image.format_of(job.target)
        target = job.target.resolve()
        if target in makers:
            raise _clash(
                f"{makers[target]} and {job.source} would both become {job.target}", "rename one, or run twice"
            )
        makers[target] = job.source
        if target in sources:
            raise _clash(f"{job.target} is an input; inputs are never overwritten", "choose another -o")
        if job.target.exists() and not overwrite:
            raise CodiError(ErrorCode.OUTPUT_EXISTS, f"{job.target} exists", "add --overwrite to replace it")


def _clash(message: str, hint: str) -> CodiError:
    return CodiError(ErrorCode.BAD_OPTION, message, hint)

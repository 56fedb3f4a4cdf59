"""The C API gives what the Python session gives: any size, format, pitch, batch, mask, prompt and colour fix."""

import ctypes
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codi_export.runtime import opening
from codi_export.runtime import session as sessions
from codi_export.runtime.image import resize_bicubic
from codi_export.runtime.noise import normal
from tests import fake_bundle
from tests.runtime.cpp.capi import Failed, Info, Library, Options, RunOptions, Session
from tests.runtime.cpp.conftest import ROOT, onnxruntime_folder

ONNXRUNTIME = onnxruntime_folder()
KINDS: dict[str, dict[str, Any]] = {
    "sr": {},
    "batch of 3": {"batch": 3},
    "scale 1": {"scale": 1},
    "scale 2": {"scale": 2},
    "extras": {"extras": fake_bundle.EXTRAS},
    "extras, batch of 2": {"extras": fake_bundle.EXTRAS, "batch": 2},
}
ORDER = {"RGB": [0, 1, 2], "BGR": [2, 1, 0], "RGBA": [0, 1, 2, 3], "BGRA": [2, 1, 0, 3]}

sizes = st.integers(1, 60)
seeds = st.integers(0, 2**64 - 1)
forms = st.sampled_from(list(ORDER))


@pytest.fixture(scope="module")
def library(release: Path) -> Library:
    return Library(release)


@pytest.fixture(scope="module", params=KINDS)
def pair(
    request: pytest.FixtureRequest, library: Library, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Session, sessions.Session]:
    folder = tmp_path_factory.mktemp("bundles") / "sr-2step"
    fake_bundle.write(folder, **KINDS[request.param])
    return library.load(folder, library=ONNXRUNTIME), opening.load(folder)


@pytest.fixture(scope="module")
def session(library: Library, stub: Path) -> Session:
    return library.load(stub, library=ONNXRUNTIME)


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> Any:
    return np.random.default_rng(seed * 7919 + height * 101 + width).integers(
        0, 256, (height, width, channels), np.uint8
    )


def extras(ours: sessions.Session, height: int, width: int, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the graph takes besides, in the words of C and of Python."""
    if len(ours.graph.inputs) == 2:
        return {}, {}
    random = np.random.default_rng(seed % 1000)
    mask = random.integers(0, 256, (height, width), np.uint8)
    prompt = random.normal(0, 5, fake_bundle.PROMPT).astype(np.float32)
    scale = float(np.float32(random.uniform(0, 2)))
    pooled = random.normal(0, 5, fake_bundle.POOLED).astype(np.float32)
    in_c = {"mask": mask, "prompt": prompt, "pooled": pooled, "adapter_scale": scale}
    in_python = {"prompt_embeds": prompt[None], "pooled_prompt_embeds": pooled[None]}
    return in_c, {"mask": mask, **in_python, "adapter_scale": scale}


@settings(max_examples=60)
@given(height=sizes, width=sizes, seed=seeds, form=forms, out=forms, gap=st.integers(0, 9))
def test_any_picture_gives_what_python_gives(
    pair: tuple[Session, sessions.Session], height: int, width: int, seed: int, form: str, out: str, gap: int
) -> None:
    theirs, ours = pair
    rgba = picture(height, width, 4)
    in_c, in_python = extras(ours, height, width, seed)
    wanted = ours(rgba[..., :3], seed=seed, **in_python)
    got = theirs(np.ascontiguousarray(rgba[..., ORDER[form]]), seed, form=form, out=out, gap=gap, **in_c)
    np.testing.assert_array_equal(got[..., ORDER[out]][..., :3], wanted)
    if "A" in out:
        alpha = resize_bicubic(rgba[..., 3], *wanted.shape[:2]) if "A" in form else 255
        np.testing.assert_array_equal(got[..., 3], np.broadcast_to(alpha, wanted.shape[:2]))


@settings(max_examples=25)
@given(height=sizes, width=sizes, fix=st.sampled_from(["wavelet", "adain"]), form=forms, out=forms)
def test_colour_fixes(stub: Path, session: Session, height: int, width: int, fix: Any, form: str, out: str) -> None:
    rgba = picture(height, width, 4, seed=1)
    wanted = opening.load(stub, check="size")(rgba[..., :3], seed=3, color_fix=fix)
    got = session(np.ascontiguousarray(rgba[..., ORDER[form]]), 3, fix=fix, form=form, out=out)
    np.testing.assert_array_equal(got[..., ORDER[out]][..., :3], wanted)


def test_prompts_are_asked_for_whole(library: Library, tmp_path: Path) -> None:
    fake_bundle.write(tmp_path / "b", extras={"prompt_embeds", "pooled_prompt_embeds"})
    session = library.load(tmp_path / "b", library=ONNXRUNTIME)
    assert (*session.info.prompt_shape, session.info.pooled_prompt_size) == (*fake_bundle.PROMPT, fake_bundle.POOLED)
    words, whole = np.zeros(fake_bundle.PROMPT, np.float32), np.zeros(fake_bundle.POOLED, np.float32)
    for fault, options in (
        ("set prompt_embeds: 6 floats", {"pooled": whole}),
        ("set pooled_prompt_embeds: 5 floats", {"prompt": words}),
        ("pooled_prompt_embeds has 6 floats; expected 5", {"prompt": words, "pooled": words}),
    ):
        with pytest.raises(Failed, match=fault):
            session(picture(16, 16), **options)


@pytest.mark.parametrize("kind", [Options, RunOptions, Info])
@pytest.mark.parametrize("known", [-16, 0, 16])
def test_defaults_fill_what_the_caller_knows(library: Library, kind: Any, known: int) -> None:
    """A program with an older or a newer header: not a byte behind its struct is written, its own new fields are 0."""
    name = {Options: "codi_options_init", RunOptions: "codi_run_options_init", Info: "codi_info_init"}[kind]
    size = ctypes.sizeof(kind) + known
    memory = (ctypes.c_ubyte * (size + 64))(*[0xA5] * (size + 64))
    getattr(library.c, name)(memory, size)
    assert ctypes.c_size_t.from_buffer(memory).value == size
    assert set(memory[size:]) == {0xA5}
    assert set(memory[ctypes.sizeof(kind) : size]) <= {0}


def test_tensors_are_the_graph_itself(session: Session) -> None:
    image, noise = picture(16, 16)[None], session.noise(5)
    np.testing.assert_array_equal(noise, normal(5, (1, 4, 16, 16)))
    output = np.zeros((1, 64, 64, 3), np.uint8)
    for memory in (0, 1):  # the CPU provider's device is the host
        output[:] = 0
        session.run_tensors({"output": output, "noise": noise, "image": image}, memory)
        np.testing.assert_array_equal(output, fake_bundle.reference(image, noise))


def test_a_session_says_what_it_is(session: Session) -> None:
    described = json.loads(session.inspect())
    assert described["graph"] == "sr-2step"
    assert (described["backend"], described["provider"], described["check"]) == ("onnxruntime", "cpu", "hash")
    assert str(ONNXRUNTIME) in described["runtime"]
    info = session.info
    assert (info.tile_width, info.tile_height, info.batch, info.scale, info.steps) == (16, 16, 1, 4, 2)
    assert list(info.noise_shape) == [1, 4, 16, 16]


def test_progress_counts_tiles_and_may_stop(session: Session) -> None:
    seen: list[tuple[int, int]] = []
    session(picture(40, 16), progress=lambda user, done, total: seen.append((done, total)) or 0)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(Failed, match="progress callback stopped") as caught:
        session(picture(40, 16), progress=lambda user, done, total: 1)
    assert caught.value.code == "cancelled"


def test_max_memory_refuses_before_it_allocates(library: Library, stub: Path) -> None:
    limited = library.load(stub, library=ONNXRUNTIME, max_memory=400_000)
    limited(picture(30, 30))
    with pytest.raises(Failed, match="max_memory is 400000") as caught:
        limited(picture(30, 3000))
    assert caught.value.code == "out-of-memory"


def test_colours_are_kept_of_photos_that_grow(library: Library, tmp_path: Path) -> None:
    fake_bundle.write(tmp_path / "b", scale=1)
    session = library.load(tmp_path / "b", library=ONNXRUNTIME)
    with pytest.raises(Failed, match="does not enlarge its input"):
        session(picture(16, 16), fix="adain")


# Damaged bundles


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    fake_bundle.write(tmp_path / "b")
    return tmp_path / "b"


def refused(library: Library, bundle: Path, code: str, words: str, **options: Any) -> None:
    with pytest.raises(Failed, match=words) as caught:
        library.load(bundle, **({"library": ONNXRUNTIME} | options))
    assert caught.value.code == code


def test_truncated_files_are_named(library: Library, bundle: Path) -> None:
    graph = bundle / "graphs/sr-2step.onnx"
    graph.write_bytes(graph.read_bytes()[:-10])
    refused(library, bundle, "hash-mismatch", r"sr-2step\.onnx has \d+ bytes, expected \d+")
    graph.unlink()
    refused(library, bundle, "hash-mismatch", r"sr-2step\.onnx is missing")


def test_a_changed_byte_is_seen_by_its_hash(library: Library, bundle: Path) -> None:
    weights = bundle / "graphs/fake.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    refused(library, bundle, "hash-mismatch", r"fake\.safetensors has changed since it was built")
    assert '"check":"size"' in library.load(bundle, library=ONNXRUNTIME, check=1).inspect()


def test_another_layout_is_seen_without_hashing(library: Library, bundle: Path) -> None:
    weights = bundle / "graphs/fake.safetensors"
    weights.write_bytes(weights.read_bytes().replace(b"weight", b"weighs"))
    refused(library, bundle, "hash-mismatch", "another layout", check=1)


def test_pickles_are_refused(library: Library, bundle: Path) -> None:
    (bundle / "graphs/more.PT").write_bytes(b"")
    refused(library, bundle, "bad-bundle", "is a pickle file")


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ('"schema": 1', '"schema": 99', "newer-schema", "schema 99"),
        ('"schema": 1', '"schema": "1"', "bad-bundle", "whole number"),
        ('"graphs/sr-2step.onnx"', '"../sr-2step.onnx"', "bad-bundle", "leaves"),
        ('"graphs/sr-2step.onnx"', '"graphs/other.onnx"', "bad-bundle|hash-mismatch", "no hash|missing"),
        ('"name": "noise"', '"name": "depth"', "bad-bundle", "not known here: depth"),
        ('"scale": 4', '"scale": 3', "bad-bundle", "3 times as large"),
        ('"scale": 4', '"scale": -4', "bad-bundle", "scale is -4"),
        ('"uint8"', '"float16"', "bad-bundle", "float16"),
        ("{", "", "bad-bundle", "not a manifest"),
    ],
)
def test_a_manifest_that_is_wrong_is_refused(
    library: Library, bundle: Path, old: str, new: str, code: str, words: str
) -> None:
    manifest = bundle / "codi.json"
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    with pytest.raises(Failed, match=words) as caught:
        library.load(bundle, library=ONNXRUNTIME)
    assert caught.value.code in code.split("|")


def test_a_folder_without_a_manifest_is_no_bundle(library: Library, tmp_path: Path) -> None:
    refused(library, tmp_path, "bad-bundle", "holds no codi.json")
    (tmp_path / ".codi-build.json").touch()
    refused(library, tmp_path, "bad-bundle", "unfinished build")


def test_symbolic_links_do_not_lead_out(library: Library, bundle: Path, tmp_path: Path) -> None:
    graph = bundle / "graphs/sr-2step.onnx"
    graph.rename(tmp_path / "elsewhere.onnx")
    graph.symlink_to(tmp_path / "elsewhere.onnx")
    refused(library, bundle, "bad-bundle", "leaves")


# The library that runs it


def test_an_onnxruntime_that_is_not_there_is_named(library: Library, bundle: Path, tmp_path: Path) -> None:
    code = f"""
import os
os.environ["CODI_ONNXRUNTIME"] = {str(tmp_path)!r}
from pathlib import Path
from tests.runtime.cpp.capi import Failed, Library
try:
    Library(Path({str(library.folder)!r})).load(Path({str(bundle)!r}))
except Failed as error:
    print(error.code, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.startswith("missing-library missing-library: no ONNX Runtime: tried")
    assert "CODI_ONNXRUNTIME" in done.stdout


def test_tensorrt_is_missing_out_loud(library: Library, bundle: Path) -> None:
    refused(library, bundle, "missing-library", "built without TensorRT", backend="tensorrt")

"""Tasks whose engine takes more than a picture: built with toy models, called as an application would."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import codi_export
from codi_export.cli.main import main
from codi_export.errors import CodiError
from codi_export.model.text import load_text
from codi_export.runtime.session import Session
from codi_export.spec import AdapterSpec
from tests import tiny

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 44, 3), dtype=np.uint8)  # larger than a tile
MASK = np.zeros((40, 44), np.uint8)
MASK[10:30, 6:38] = 255


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.backbone(tmp_path_factory.mktemp("inputs"), "v_prediction", "tiny", zero_snr=True)


@pytest.fixture(scope="module")
def inpaint(model: Path) -> Path:
    net = tiny.adapter(model / "inpaint", model, AdapterSpec("inpaint", condition="unshuffled"))
    codi_export.build("inpaint", 1, model / "inpaint-1step", model=str(model), adapter=str(net))
    return model / "inpaint-1step"


@pytest.fixture(scope="module")
def edit(model: Path) -> Path:
    net = tiny.adapter(model / "edit", model, AdapterSpec("edit", condition="unshuffled", image_size=16))
    codi_export.build("edit", 2, model / "edit-2step", model=str(model), adapter=str(net), batch_size=2)
    return model / "edit-2step"


@pytest.fixture
def editor(edit: Path) -> Session:
    return codi_export.load(edit)


def test_a_mask_is_filled_and_the_rest_comes_back(inpaint: Path) -> None:
    session = codi_export.load(inpaint)
    assert [spec.name for spec in session.graph.inputs] == ["image", "mask", "noise"]
    output = session(PHOTO, mask=MASK)
    assert np.array_equal(output[MASK == 0], PHOTO[MASK == 0])
    assert not np.array_equal(output, PHOTO)
    picture = session(Image.fromarray(PHOTO), mask=Image.fromarray(MASK))
    assert isinstance(picture, Image.Image) and np.array_equal(np.asarray(picture), output)


MISFITS = {"none": None, "size": MASK[1:], "type": MASK.astype(float), "mode": Image.new("RGB", (44, 40))}


@pytest.mark.parametrize("mask", MISFITS.values(), ids=MISFITS.keys())
def test_a_mask_that_does_not_fit_is_refused(inpaint: Path, mask: Image.Image | None) -> None:
    with pytest.raises(CodiError, match="mask"):
        codi_export.load(inpaint)(PHOTO, mask=mask)


def test_a_prompt_says_what_to_do(editor: Session, edit: Path, model: Path) -> None:
    sea, photo = (editor(PHOTO, prompt=text) for text in ("the sea", "a photo"))
    assert not np.array_equal(sea, photo)
    text = load_text(model)
    embeds = text.embed(text.tokens(["the sea"])).numpy()
    given = editor(PHOTO, prompt_embeds=embeds)
    assert np.abs(given.astype(int) - sea).max() <= 1  # the bundle's text encoder is the folder's
    assert editor.graph.outputs[0].shape == (2, 16, 16, 3)  # what the adapter was trained at


def test_prompts_that_cannot_be_read_are_refused(editor: Session, inpaint: Path) -> None:
    for fault, options in (
        ("got none", {}),
        ("got prompt and prompt_embeds", {"prompt": "a", "prompt_embeds": np.zeros((1, 6, 16), np.float32)}),
        ("longer than the 6 tokens", {"prompt": "a photo of the sea " * 2}),
        ("takes no mask", {"prompt": "a", "mask": MASK}),
    ):
        with pytest.raises(CodiError, match=fault):
            editor(PHOTO, **options)  # type: ignore[arg-type]
    with pytest.raises(CodiError, match="built in"):
        codi_export.load(inpaint)(PHOTO, mask=MASK, prompt="the sea")


def test_the_same_at_the_prompt(
    inpaint: Path, edit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "masks").mkdir()
    Image.fromarray(PHOTO).save("photo.png")
    for name in ("mask.png", "masks/photo.png"):
        Image.fromarray(MASK).save(name)
    assert main(["run", str(inpaint), "photo.png", "-o", "filled.png", "--mask", "mask.png"]) == 0
    assert main(["run", str(inpaint), "photo.png", "-o", "again.png", "--mask", "masks"]) == 0
    filled = np.asarray(Image.open("filled.png"))
    assert np.array_equal(filled, np.asarray(Image.open("again.png")))
    assert np.array_equal(filled, codi_export.load(inpaint)(PHOTO, mask=MASK))

    Image.fromarray(PHOTO).save("other.png")
    assert main(["run", str(inpaint), "other.png", "-o", "none.png", "--mask", "masks"]) == 1
    assert "masks holds 0 masks for other.png" in capsys.readouterr().err

    assert main(["run", str(edit), "photo.png", "-o", "edited.png", "--prompt", "the zebra sea"]) == 0
    assert "'zebra' is not in the bundle's vocabulary" in capsys.readouterr().err
    for bundle in (inpaint, edit):
        assert main(["verify", str(bundle)]) == 0


def test_sums_scales_and_guidance(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A build compares the graph with torch at two scales of the adapter; a session takes any."""
    nets = [tiny.adapter(tmp_path / name, model, AdapterSpec("depth"), seed) for seed, name in enumerate("ab")]
    options = ["--guidance", "2", "--negative-prompt", "the sea", "--prompt", "a photo", "--adapter-scale-input"]
    for net, scale in zip(nets, (":3", ":-2"), strict=True):
        options += ["--adapter", f"{net}{scale}"]
    out = tmp_path / "bundle"
    assert main(["build", "--task", "depth", "--steps", "2", "--model", str(model), "-o", str(out), *options]) == 0
    session = codi_export.load(out)
    one, half, off = (session(PHOTO, adapter_scale=scale) for scale in (1.0, 0.5, 0.0))
    assert np.array_equal(session(PHOTO), one)
    assert not np.array_equal(one, half) and not np.array_equal(half, off)
    assert np.array_equal(session(255 - PHOTO, adapter_scale=0.0), off), "the backbone alone sees no condition"

    Image.fromarray(PHOTO).save(tmp_path / "photo.png")
    run = ["run", str(out), str(tmp_path / "photo.png"), "-o", str(tmp_path / "half.png"), "--adapter-scale", ".5"]
    assert main(run) == 0
    assert np.array_equal(np.asarray(Image.open(tmp_path / "half.png")), half)
    assert main(["verify", str(out)]) == 0
    assert main(["swap", str(out), "--adapter", str(nets[1])]) == 1
    assert "sums several adapters for task 'depth'" in capsys.readouterr().err


def test_a_scale_that_nobody_asked_for(inpaint: Path) -> None:
    with pytest.raises(CodiError, match="what this graph's adapter adds is fixed"):
        codi_export.load(inpaint)(PHOTO, mask=MASK, adapter_scale=0.5)


def test_any_task_can_read_prompts(model: Path) -> None:
    net = tiny.adapter(model / "depth", model, AdapterSpec("depth"))
    manifest = codi_export.build("depth", 1, model / "depth-1step", model=str(model), adapter=str(net), text_input=True)
    assert manifest.graphs[0].inputs[-1].name == "prompt_embeds"

"""A session takes any size, and cutting a picture into tiles changes nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from codi_export.errors import CodiError, ErrorCode
from codi_export.runtime.noise import normal
from codi_export.runtime.opening import load
from codi_export.runtime.session import Session
from tests import fake_bundle

SHAPES: dict[str, dict[str, int]] = {
    "sr": {},
    "batch of 3": {"batch": 3},
    "scale 1": {"scale": 1},
    "scale 2": {"scale": 2},
}


@pytest.fixture(scope="module", params=SHAPES)
def session(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("bundles") / "sr-2step"
    fake_bundle.write(folder, **SHAPES[request.param])
    return load(folder)


def picture(height: int, width: int) -> Any:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def whole(image: Any, scale: int, seed: int) -> Any:
    """The fake graph's output for a picture of any size, never cut."""
    h, w = (-(-size * scale // fake_bundle.FACTOR) for size in image.shape[:2])
    noise = normal(seed, (1, fake_bundle.CHANNELS, h, w))
    even = [(0, (-size) % (fake_bundle.FACTOR // scale)) for size in image.shape[:2]]
    padded = np.pad(image, [*even, (0, 0)], mode="edge")
    output = fake_bundle.reference(padded[None], noise, scale)[0]
    return output[: image.shape[0] * scale, : image.shape[1] * scale]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 2**64 - 1))
def test_any_size_equals_the_picture_that_was_never_cut(session: Session, height: int, width: int, seed: int) -> None:
    image = picture(height, width)
    np.testing.assert_array_equal(session(image, seed=seed), whole(image, session.graph.scale, seed))


@pytest.mark.parametrize(
    ("side", "tile", "scale", "blurs"), [(40, 16, 4, 4), (92, 64, 1, 4), (70, 32, 4, 8), (62, 20, 2, 2)]
)
def test_a_graph_that_looks_at_neighbours_shows_no_seams(
    tmp_path: Path, side: int, tile: int, scale: int, blurs: int
) -> None:
    """What a tile's edge cannot know lies in the margin that does not count: cut or whole, the picture is the same."""
    fake_bundle.write(tmp_path / "whole", size=side, scale=scale, blurs=blurs)
    fake_bundle.write(tmp_path / "tiles", size=tile, scale=scale, blurs=blurs)
    image = picture(side, side)
    seen: list[int] = []
    tiled = load(tmp_path / "tiles")(image, seed=4, progress=lambda done, total: seen.append(total))
    assert seen[-1] > 1
    np.testing.assert_array_equal(tiled, load(tmp_path / "whole")(image, seed=4, tile="off"))


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(session: Session) -> None:
    image = picture(20, 30)
    np.testing.assert_array_equal(session(image, seed=5), session(image, seed=5))
    assert not np.array_equal(session(image, seed=5), session(image, seed=6))


def test_a_pil_image_comes_back_as_one(session: Session) -> None:
    image = picture(20, 30)
    result = session(Image.fromarray(image), seed=1)
    assert result.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(result), session(image, seed=1))


def test_progress_counts_to_the_number_of_tiles(session: Session) -> None:
    seen: list[tuple[int, int]] = []
    session(picture(40, 16), progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1][0] == seen[-1][1] == 3


def test_run_is_the_graph_itself(session: Session) -> None:
    b, size, scale = session.image.shape[0], 16, session.graph.scale
    image = np.stack([picture(size, size)] * int(b))
    noise = normal(3, (int(b), 4, size * scale // 4, size * scale // 4))
    np.testing.assert_array_equal(session.run(image, noise), fake_bundle.reference(image, noise, scale))


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        Image.new("RGBA", (4, 4)),
        Image.new("L", (4, 4)),
    ],
)
def test_anything_but_rgb_is_refused_not_converted(session: Session, image: Any) -> None:
    with pytest.raises(CodiError, match="expected") as caught:
        session(image)
    assert caught.value.code is ErrorCode.BAD_IMAGE


def test_run_checks_shapes_and_types(session: Session) -> None:
    with pytest.raises(CodiError, match=r"image: expected uint8 \[\d, 16, 16, 3\], got uint8 \[1, 4, 4, 3\]"):
        session.run(picture(4, 4)[None], normal(0, (1, 4, 16, 16)))


def test_tile_off_pads_small_pictures_and_refuses_large_ones(session: Session) -> None:
    image = picture(10, 16)
    np.testing.assert_array_equal(session(image, tile="off"), session(image))
    with pytest.raises(CodiError, match="the picture is 17 x 10, the graph takes 16 x 16") as caught:
        session(picture(10, 17), tile="off")
    assert "--tile" in caught.value.hint


def test_a_tile_size_must_be_the_graphs(session: Session) -> None:
    image = picture(20, 20)
    np.testing.assert_array_equal(session(image, tile=16), session(image))
    with pytest.raises(CodiError, match="tile 32: this graph's tiles are 16 x 16"):
        session(image, tile=32)


# Loading

"""Our bicubic matrices are Pillow's filter."""

import numpy as np
import pytest
import torch
from PIL import Image

from codi_export.model.resize import bicubic_matrix, resize


@pytest.mark.parametrize(("size", "out"), [(8, 32), (32, 8), (7, 28), (12, 9), (5, 5), (1, 4)])
def test_rows_sum_to_one(size: int, out: int) -> None:
    matrix = bicubic_matrix(size, out)
    assert matrix.shape == (out, size)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(out, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("height", "width", "scale"), [(8, 12, 4.0), (64, 48, 0.25), (10, 10, 1.5)])
def test_equal_to_pillow(height: int, width: int, scale: float) -> None:
    plane = np.random.default_rng(0).uniform(0, 255, (height, width)).astype(np.float32)
    out = int(height * scale), int(width * scale)
    pillow = np.asarray(Image.fromarray(plane).resize(out[::-1], Image.Resampling.BICUBIC))
    rows, columns = bicubic_matrix(height, out[0]), bicubic_matrix(width, out[1])
    ours = resize(torch.from_numpy(plane).double()[None, None], rows, columns)[0, 0].numpy()
    np.testing.assert_allclose(ours, pillow, rtol=0, atol=1e-4)  # Pillow rounds both passes to float32: 255 * 6e-8 * 2


def test_equal_to_pillow_in_eight_bits() -> None:
    """Pillow rounds to whole levels (and clips, hence no extremes here) after either pass, so one level is free."""
    levels = np.random.default_rng(1).integers(64, 192, (16, 16), dtype=np.uint8)
    pillow = np.asarray(Image.fromarray(levels).resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    matrix = bicubic_matrix(16, 64)
    ours = resize(torch.from_numpy(levels).double()[None, None], matrix, matrix)[0, 0].numpy()
    assert np.abs(np.clip(np.round(ours), 0, 255) - pillow).max() <= 1

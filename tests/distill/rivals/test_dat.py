import io

import pytest
import torch

from codi_export.errors import CodiError, ErrorCode
from distill.rivals import dat


def test_windows_are_cut_row_by_row_and_joined() -> None:
    x = torch.arange(24).view(1, 4, 6, 1)
    windows = dat.split(x, (2, 3))
    assert windows.shape == (1, 4, 6, 1)
    assert windows[0, 1, :, 0].tolist() == [3, 4, 5, 9, 10, 11]
    assert windows[0, 2, :, 0].tolist() == [12, 13, 14, 18, 19, 20]
    assert dat.join(windows, (2, 3), (4, 6)).equal(x)


def test_attention_puts_its_windows_back() -> None:
    """With equal keys and no bias a window becomes its mean."""
    windows = dat.Windows((8, 32), shifted=False)
    torch.nn.init.zeros_(windows.pos.pos3[2].weight)
    qkv = torch.rand(3, 2, 16, 64, 30)
    qkv[:2] = 0
    means = qkv[2].view(2, 2, 8, 2, 32, 30).mean(dim=(2, 4))
    expected = means.repeat_interleave(8, dim=1).repeat_interleave(32, dim=2)
    torch.testing.assert_close(windows(qkv), expected, rtol=1e-4, atol=1e-5)  # float32 means of 256


def test_mask_parts_what_was_not_together() -> None:
    """A row of two windows of 4, shifted by 2: the last window holds the row's end and its start."""
    mask = dat.shift_mask((1, 4), (0, 2), (1, 8))
    assert not mask[0].any()
    ends = torch.tensor([0, 0, 1, 1])
    torch.testing.assert_close(mask[1], (ends[:, None] != ends) * -100.0)


def test_network_enlarges_by_four() -> None:
    with torch.inference_mode():
        assert dat.DatLight().eval()(torch.rand(1, 3, 32, 64)).shape == (1, 3, 128, 256)


def test_other_parameters_are_refused() -> None:
    buffer = io.BytesIO()
    torch.save({"params": {"conv_first.weight": torch.zeros(60, 3, 3, 3)}}, buffer)
    with pytest.raises(CodiError, match="DAT light") as caught:
        dat.read({"x.pth": buffer.getvalue()})
    assert caught.value.code is ErrorCode.BAD_MODEL

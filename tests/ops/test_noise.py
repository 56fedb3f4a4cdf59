"""torch's face of the noise."""

import numpy as np
import pytest
import torch

from codi_export.ops.noise import noise_like
from codi_export.runtime.noise import normal


@pytest.mark.parametrize("seed", [0, 12345, 2**63 - 1, -1])
def test_it_is_the_noise_of_the_runtime(seed: int) -> None:
    z = torch.zeros(2, 3, 5, 4)
    expected = normal(seed % 2**64, (2, 3, 5, 4), (7, 9), 3)
    np.testing.assert_array_equal(noise_like(z, seed, 3, 7, 9).numpy(), expected)
    np.testing.assert_array_equal(noise_like(z.half(), seed, 3, 7, 9).numpy(), expected.astype(np.float16))


def test_opcheck() -> None:
    torch.library.opcheck(noise_like, (torch.zeros(1, 2, 3, 4), 5))


@pytest.mark.parametrize("z", [torch.zeros(2, 3, 4), torch.zeros(1, 2, 3, 4).double()])
def test_what_is_wrong_is_said(z: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected float32 or float16 \[B, C, h, w\]"):
        noise_like(z, 0)

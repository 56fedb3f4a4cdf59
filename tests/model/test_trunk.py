"""The deep condition embedding."""

import torch
import torch.nn.functional as F

from codi_export.model.trunk import Reader, Trunk

WORDS = torch.randn(1, 3, 4)  # nobody reads them here


@torch.no_grad()
def test_it_is_edsr_written_out() -> None:
    torch.manual_seed(0)
    trunk, image = Trunk(5, 8, 2, 6), torch.randn(1, 5, 7, 9)
    torch.nn.init.normal_(trunk.conv_out.weight)
    weights = trunk.state_dict()

    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1)

    first = x = conv("conv_in", image)
    for block in ("blocks.0", "blocks.1"):
        x = x + conv(f"{block}.conv2", conv(f"{block}.conv1", x).clamp(min=0))
    torch.testing.assert_close(trunk(image, WORDS), conv("conv_out", first + x))


def test_it_is_silent_at_first_but_can_learn() -> None:
    trunk = Trunk(5, 8, 2, 6)
    output = trunk(torch.randn(2, 5, 4, 4), WORDS)
    assert not output.any()
    output.sum().backward()
    assert trunk.conv_out.weight.grad is not None
    assert trunk.conv_out.weight.grad.any()


def test_a_reader_that_knows_the_mean_prompt_sees_what_prompts_differ_in() -> None:
    """Centring moves a reader's bias and nothing else: the weightings' softmax does not see it."""
    reader, words = Reader(8, 6), torch.randn(5, 4, 6) + 3
    torch.nn.init.normal_(reader.out.weight)
    x = torch.randn(5, 8, 2, 2)
    before = reader(x, words)
    reader.mean.copy_(words.mean(dim=(0, 1)))
    with torch.no_grad():
        reader.out.bias += reader.out.weight @ reader.mean.repeat(Reader.PICKS)
    torch.testing.assert_close(reader(x, words), before)

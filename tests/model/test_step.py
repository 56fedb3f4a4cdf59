"""A step of the graph: guidance and the adapter's scale."""

import pytest
import torch

from codi_export.errors import CodiError
from codi_export.model import adapter as adapters
from codi_export.model.denoiser import Denoiser
from codi_export.model.step import Step
from codi_export.spec import MAX_GUIDANCE, BuildSpec
from tests import tiny

Z, PROMPT = torch.randn(2, 4, 8, 8), torch.randn(2, tiny.TOKENS, tiny.TEXT_WIDTH)
NEGATIVE = torch.randn(1, tiny.TOKENS, tiny.TEXT_WIDTH)
AT = torch.tensor(499), torch.tensor(0.6), torch.tensor(0.8)


def denoiser(reads: bool) -> Denoiser:
    """A ControlNet, or one with a trunk that reads the prompt."""
    backbone = tiny.recipe("epsilon").backbone
    torch.manual_seed(2)
    shape = ("unshuffled", 16, 1, True, 3, True) if reads else ("pixels", 16)
    return Denoiser(backbone.unet, tiny.awake(adapters.new(backbone, *shape).eval()), "epsilon")  # type: ignore[arg-type]


@torch.no_grad()
@pytest.mark.parametrize("reads", [False, True])
def test_guidance_leads_away_from_the_negative_prompt(reads: bool) -> None:
    """x(∅) + w (x(y) − x(∅)): two evaluations, each with what its own prompt makes of the condition."""
    one, w = denoiser(reads), 4.0
    image = torch.rand(2, 52, 8, 8) if reads else torch.rand(2, 3, 32, 32)
    negative = NEGATIVE.expand_as(PROMPT)
    without, with_it = (one(Z, *AT, text, *one.embed_condition(image, text)) for text in (negative, PROMPT))
    step = Step(one, NEGATIVE, w)
    found = step(Z, *AT, PROMPT, *step.embed_condition(image, PROMPT))
    # w multiplies the roundings of a batch of two, which torch adds up in another order
    torch.testing.assert_close(found, without + w * (with_it - without), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(found, with_it, atol=1e-2)


@torch.no_grad()
def test_without_guidance_it_is_the_denoiser() -> None:
    one, image = denoiser(False), torch.rand(2, 3, 32, 32)
    condition = one.embed_condition(image, PROMPT)
    assert torch.equal(Step(one)(Z, *AT, PROMPT, *condition), one(Z, *AT, PROMPT, *condition))
    silent = Step(one, takes_scale=True)(Z, *AT, PROMPT, *condition, torch.tensor(0.0))
    torch.testing.assert_close(silent, Denoiser(one.unet, None, "epsilon")(Z, *AT, PROMPT), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"guidance": 0.5}, f"--guidance 0.5: expected 1 \\(off\\) to {MAX_GUIDANCE}"),
        ({"guidance": float("nan")}, "--guidance nan"),
        ({"negative_prompt": "blurry"}, "'blurry' has no effect without guidance"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, object], says: str) -> None:
    with pytest.raises(CodiError, match=says):
        BuildSpec("sr", (1,), **options)  # type: ignore[arg-type]

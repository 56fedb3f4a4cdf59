import torch
from torch import nn

from distill.ema import Ema, saved_decay


def _moved(decay: float) -> tuple[nn.Module, nn.Module]:
    source = nn.BatchNorm1d(2)  # it has buffers, and an integer one
    ema = Ema(source, lambda _: decay)
    with torch.no_grad():
        source.weight.fill_(3.0)
        source.running_mean.fill_(5.0)  # type: ignore[union-attr]
        source.num_batches_tracked += 7  # type: ignore[operator]
    ema.update(source, 0)
    return source, ema.average


def test_zero_copies_and_one_freezes() -> None:
    source, copied = _moved(0.0)
    assert all(
        torch.equal(a, b) for a, b in zip(source.state_dict().values(), copied.state_dict().values(), strict=True)
    )
    frozen = _moved(1.0)[1].state_dict()
    assert frozen["weight"].tolist() == [1.0, 1.0] and frozen["running_mean"].tolist() == [0.0, 0.0]


def test_between_them_it_is_the_weighted_mean() -> None:
    assert _moved(0.75)[1].state_dict()["weight"].tolist() == [1.5, 1.5]


def test_early_steps_are_forgotten() -> None:
    assert saved_decay(0) == 0.1
    assert saved_decay(10**6) == 0.9995

"""Which timesteps N steps visit, and their constants."""

from collections.abc import Sequence

from codi_export.errors import CodiError, ErrorCode
from codi_export.spec import AdapterSpec, PredictionType, Schedule, Step


def grid_timesteps(steps: int, adapter: AdapterSpec) -> tuple[int, ...]:
    """N timesteps spread evenly over the grid t = gap k + offset: k = floor(L (1 - i / N)) (distill/README.md 5)."""
    ks = [adapter.L * (steps - i) // steps for i in range(steps)]
    return tuple(adapter.gap * k + adapter.offset for k in ks)


def trailing_timesteps(steps: int, train_timesteps: int) -> tuple[int, ...]:
    """N timesteps spread evenly, the first at the noisiest (arXiv 2305.08891, table 2; diffusers' "trailing")."""
    return tuple(round(train_timesteps * (steps - i) / steps) - 1 for i in range(steps))


def timesteps(steps: int, adapter: AdapterSpec) -> tuple[tuple[int, ...], str]:
    """The adapter's own list for N steps and no warning, or the even one with a warning."""
    if chosen := adapter.timesteps.get(str(steps)):
        return chosen, ""
    warning = f"the adapter names no timesteps for {steps} steps; they are spread evenly over its grid"
    return grid_timesteps(steps, adapter), warning


def make(
    ts: Sequence[int], alphas: Sequence[float], sigmas: Sequence[float], prediction_type: PredictionType
) -> Schedule:
    """The constants at timesteps `ts`. `alphas` and `sigmas` are the backbone's, indexed by timestep.

    Raises CodiError (bad-model) for a timestep outside the table, or where an epsilon prediction would divide by zero.
    """
    outside = [t for t in ts if not 0 <= t < len(alphas)]
    if outside:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"timesteps {outside} lie outside the backbone's 0 to {len(alphas) - 1}",
            "use an adapter that was trained on this backbone's schedule",
        )
    blind = [t for t in ts if prediction_type == "epsilon" and alphas[t] == 0]
    if blind:
        raise CodiError(
            ErrorCode.BAD_MODEL,
            f"an epsilon prediction at timestep {blind[0]} cannot be turned into an image: alpha is 0 there",
            "a schedule with zero terminal SNR needs v_prediction",
        )
    return Schedule(tuple(Step(t, float(alphas[t]), float(sigmas[t])) for t in ts), prediction_type)

"""Stop a training that has diverged, naming the first bad numbers."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch


class TrainingDiverged(RuntimeError):  # noqa: N818  named for what happened
    """Numbers of a training are no longer finite."""


def check_numbers(named: Mapping[str, np.ndarray | float], decisions: int, advice: str) -> None:
    """Raise for NaN or infinite numbers, naming the first.

    Parameters
    ----------
    named : values in the order of their computation
    decisions : decisions trained so far
    advice : end of the message
    """
    for name, values in named.items():
        values = np.asarray(values)
        bad = ~np.isfinite(values)
        if bad.any():
            kind = "NaN" if np.isnan(values[bad]).any() else "infinite"
            raise TrainingDiverged(
                f"after {decisions:,} decisions {name} is {kind} ({int(bad.sum())} of {values.size} values). {advice}"
            )


def check_weights(weights: Iterable[tuple[str, torch.Tensor]], decisions: int, advice: str) -> None:
    """Raise for weights that are not finite."""
    with torch.no_grad():
        bad = [name for name, weight in weights if not torch.isfinite(weight).all()]
    if bad:
        raise TrainingDiverged(
            f"after {decisions:,} decisions the weights {', '.join(bad[:3])}"
            f"{' ...' if len(bad) > 3 else ''} are no longer finite. {advice}"
        )

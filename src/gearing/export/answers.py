"""Checks of what a policy answered: finite, and on the side that the bundle trades."""

import numpy as np

from gearing.export.files import BundleError
from gearing.export.manifest import Manifest
from gearing.simulation.observation import Observation

_ROUNDING = 1e-5  # relative: networks compute in single precision


def check_targets(targets: np.ndarray, manifest: Manifest, observation: Observation) -> None:
    """Check signed targets (n_contracts,) of the margin share.

    NaN leaves a position unchanged: a rule may return it, and of networks one with a no-trade band while the position
    is open.

    Raises
    ------
    BundleError
        For an answer that is not finite, beyond a network's own limit, or on the wrong side.
    """
    config, is_network = manifest.config, manifest.kind == "network"
    held = np.asarray(observation["effective_leverage"], np.float64)[0]
    column = config.signal_column
    signal = None if column is None else np.asarray(observation[column], np.float64)[0]
    slack = _ROUNDING * config.max_leverage
    for j, name in enumerate(manifest.symbols):
        answer = float(targets[j])
        if np.isnan(answer) and (not is_network or (has_band(manifest) and held[j] != 0.0)):
            continue
        if not np.isfinite(answer):
            _refuse(f"{name}: the policy answered {answer:g}, which is no leverage.")
        if is_network and abs(answer) > config.max_leverage + slack:
            _refuse(
                f"{name}: the network answered {answer:+g}x, beyond its own limit of {config.max_leverage:g}x."
            )
        side = _side(config.direction, None if signal is None else float(signal[j]))
        if side is not None and (answer * side < -slack or (side == 0.0 and abs(answer) > slack)):
            _refuse(
                f"{name}: the policy answered {answer:+g}x, but the bundle trades {_named(manifest)} only."
            )


def has_band(manifest: Manifest) -> bool:
    """Whether the network has a no-trade band, inside which it answers NaN."""
    return manifest.policy.get("algorithm") == "differentiable"


def _side(direction: str, signal: float | None) -> float | None:
    """1 long, -1 short, 0 flat; None where the policy chooses."""
    if signal is not None:
        return float(np.sign(signal))
    return {"long": 1.0, "short": -1.0}.get(direction)


def _named(manifest: Manifest) -> str:
    column = manifest.config.signal_column
    return manifest.config.direction if column is None else f"the side of the signal {column}"


def _refuse(what: str) -> None:
    raise BundleError(
        f"{what} Nothing was decided; check the bars given, and if they are right, do not use this bundle."
    )

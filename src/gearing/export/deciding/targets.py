"""Targets of a policy: what it answered is checked, then limited by the bundle, the tiers and the account's state.

Targets (n_contracts,) are signed leverages of the margin share; NaN leaves a position unchanged.
"""

import numpy as np

from gearing.exchange.rules import largest_notional
from gearing.export.account.state import AccountState
from gearing.export.bundle.files import BundleError
from gearing.export.bundle.manifest import Manifest
from gearing.export.deciding.exact import leverage_setting
from gearing.simulation.observation import Observation

LARGEST_FACTOR = 2.0  # of a residual action
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
                f"{name}: the policy answered {answer:+g}x, but the bundle trades {_named(manifest)} only.",
                "side",
            )


def check_factors(factors: np.ndarray, where: str) -> None:
    """Check a residual network's factors of its base rule: 0 to 2, as in training; NaN holds.

    Raises
    ------
    BundleError
        For a factor outside; it begins with ``where``.
    """
    for factor in factors[~np.isnan(factors)]:
        if not -_ROUNDING <= factor <= LARGEST_FACTOR + _ROUNDING:
            _refuse(f"{where} answered {factor:g} times its base rule; it must be 0 to {LARGEST_FACTOR:g}.")


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


def _refuse(what: str, code: str = "answer") -> None:
    raise BundleError(
        f"{what} Nothing was decided; check the bars given, and if they are right, do not use this bundle.",
        code,
    )


def capped(limited: np.ndarray, manifest: Manifest, state: AccountState) -> tuple[np.ndarray, list[str]]:
    """Targets within the bundle's largest leverage and the margin tiers at this size."""
    targets, notes = limited.copy(), []
    equity = state.equity
    for j, name in enumerate(state.names):
        most = manifest.config.max_leverage
        if abs(targets[j]) > most:
            notes.append(f"{name}: the target is {targets[j]:+.4g}x; the bundle allows {most:g}x")
            targets[j] = np.copysign(most, targets[j])
        if np.isnan(targets[j]):
            continue
        row, budget = state.rows[0, j], float(state.contracts[j].margin_share) * equity
        setting = leverage_setting(abs(targets[j]), manifest.venue.leverage_step, state.top_leverage(j))
        allowed = largest_notional(setting, state.tiers, int(row.tiers_first), int(row.tiers_last))
        allowed = max(allowed, state.held(j, targets[j]))  # only increases are capped
        if abs(targets[j]) * budget > allowed:
            notes.append(
                f"{name}: {targets[j]:+.4g}x of {budget:,.0f} exceeds the {allowed:,.0f} its tier allows"
            )
            targets[j] = np.copysign(allowed / budget, targets[j])
    return targets, notes


def limited_to(
    targets: np.ndarray, leverage: float, largest: float, state: AccountState
) -> tuple[np.ndarray, list[str]]:
    """Targets within limits from outside the model, and notes.

    Parameters
    ----------
    leverage : float
        Largest sum of absolute notionals over equity.
    largest : float
        Largest notional of a contract [settle coin].
    """
    if np.isinf(leverage) and np.isinf(largest):
        return targets, []
    equity, share = state.equity, state.terms.shares
    held = state.leverage
    wanted, notes = np.where(np.isnan(targets), held, targets * share), list[str]()
    for j in np.flatnonzero(np.abs(wanted) * equity > largest):
        notes.append(f"{state.names[j]}: limited to a notional of {largest:,.2f}")
        wanted[j] = np.copysign(largest / equity, wanted[j])
    if (gross := float(np.abs(wanted).sum())) > leverage:
        notes.append(f"limited to {leverage:g}x of equity in all; the target was {gross:.4g}x")
        wanted *= leverage / gross
    return (np.where(wanted == held, targets, wanted / share) if notes else targets), notes


def reductions_only(
    targets: np.ndarray, near: np.ndarray, state: AccountState, when: str
) -> tuple[np.ndarray, list[str]]:
    """Targets of the margin share (n_contracts,) that increase none of some positions, and notes.

    Parameters
    ----------
    near : (n_contracts,) bool
        Positions that may only be reduced.
    when : str
        Why, for the notes.

    A target beyond the position leaves it unchanged (NaN), one on the other side closes it.
    """
    changed, notes = targets.copy(), []
    for j in np.flatnonzero(near):
        name, share = state.names[j], float(state.contracts[j].margin_share)
        held = float(state.leverage[j]) / share
        if np.isnan(targets[j]) or (targets[j] * held >= 0.0 and abs(targets[j]) <= abs(held)):
            continue
        changed[j] = np.nan if targets[j] * held > 0.0 else 0.0
        what = "left unchanged" if targets[j] * held > 0.0 else "closed at most"
        notes.append(f"{name}: the target {targets[j] * share:+.2f}x would increase it {when}: {what}")
    return changed, notes


def filled_holds(targets: np.ndarray, state: AccountState, who: str) -> tuple[np.ndarray, list[str]]:
    """Targets with the held leverage of the margin share where ``who`` decided, policy or fallback, holds (NaN)."""
    filled, notes = targets.copy(), []
    for j in np.flatnonzero(np.isnan(targets)):
        name, share = state.names[j], float(state.contracts[j].margin_share)
        filled[j] = float(state.leverage[j]) / share
        notes.append(f"{name}: the {who} leaves the position unchanged")
    return filled, notes

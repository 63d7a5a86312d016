"""Relative value iteration on (state, held leverage) with proportional costs, compiled."""

import math

import numpy as np

from gearing.market.synthetic.quadrature import FLOOR, drifted
from gearing.storage.inner_functions import entry


def landing(
    leverages: np.ndarray, returns: np.ndarray, funding: np.ndarray, cost: float, moved: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each leverage drifts in a step, shape (n_states, n_leverages, n_nodes) each.

    Returns the grid cell below, the share of the cell above it, and the cost (a logarithm) of reducing a drift
    beyond the bound.
    """
    shape = (returns.shape[0], leverages.size, returns.shape[1])
    cell, share, cut = np.empty(shape, np.int64), np.empty(shape), np.empty(shape)
    _land(leverages, returns, funding, cost, moved, cell, share, cut)
    return cell, share, cut


@entry
def _land(
    leverages: np.ndarray,
    returns: np.ndarray,
    funding: np.ndarray,
    cost: float,
    moved: bool,
    cell: np.ndarray,
    share: np.ndarray,
    cut: np.ndarray,
) -> None:
    low, high, step = leverages[0], leverages[-1], leverages[1] - leverages[0]
    for s in range(cell.shape[0]):
        for a in range(cell.shape[1]):
            for j in range(cell.shape[2]):
                held = drifted(leverages[a], returns[s, j], funding[s], moved)
                inside = min(max(held, low), high)
                cut[s, a, j] = math.log(max(1.0 - cost * abs(held - inside), FLOOR))
                x = (inside - low) / step
                i = min(int(x), leverages.size - 2)
                cell[s, a, j], share[s, a, j] = i, x - i


def iterate(
    growth: np.ndarray,
    transitions: np.ndarray,
    weights: np.ndarray,
    cell: np.ndarray,
    share: np.ndarray,
    cut: np.ndarray,
    trade: np.ndarray,
    tolerance: float,
    limit: int,
) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Iterate h(s, l) + rho = max over L of reach(s, L) + trade(l, L) to a fixed point.

    Parameters
    ----------
    growth : array, shape (n_states, n_leverages)
    transitions : array, shape (n_states, n_states)
    weights : array, shape (n_states, n_nodes)
    cell, share, cut : arrays, shape (n_states, n_leverages, n_nodes)
        From ``landing``.
    trade : array, shape (n_leverages, n_leverages)
        Cost (a logarithm) of trading from held leverage (row) to target (column).
    tolerance : float
        On the span of one iteration's change.
    limit : int
        Largest number of iterations.

    Returns
    -------
    value h, reach (both (n_states, n_leverages)), rho per step, iterations
    """
    value, reach, new = np.zeros_like(growth), np.empty_like(growth), np.empty_like(growth)
    to_target = np.ascontiguousarray(trade.T)
    rho, count = 0.0, 0
    while count < limit:
        count += 1
        _improve(growth, transitions @ value, weights, cell, share, cut, to_target, reach, new)
        low, high = (new - value).min(), (new - value).max()
        rho = 0.5 * (low + high)
        value = new - new[0, growth.shape[1] // 2]
        if high - low < tolerance:
            break
    return value, reach, float(rho), count


@entry
def _improve(
    growth: np.ndarray,
    ahead: np.ndarray,
    weights: np.ndarray,
    cell: np.ndarray,
    share: np.ndarray,
    cut: np.ndarray,
    to_target: np.ndarray,
    reach: np.ndarray,
    new: np.ndarray,
) -> None:
    """One iteration's reach and value, from the value expected ``ahead``; ``to_target`` has a row per target."""
    new[:] = -np.inf
    for s in range(growth.shape[0]):
        for a in range(growth.shape[1]):
            total = growth[s, a]
            for j in range(weights.shape[1]):
                i, w = cell[s, a, j], share[s, a, j]
                total += weights[s, j] * (cut[s, a, j] + (1.0 - w) * ahead[s, i] + w * ahead[s, i + 1])
            reach[s, a] = total
            for held in range(growth.shape[1]):
                new[s, held] = max(new[s, held], total + to_target[a, held])


def bands(reach: np.ndarray, trade: np.ndarray, leverages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """No-trade band of each state: the held leverages from which staying is best, shape (n_states,) each."""
    lower, upper = np.empty(len(reach)), np.empty(len(reach))
    for s, row in enumerate(reach):
        choice = (row[None, :] + trade).argmax(axis=1)
        held = leverages[choice == np.arange(leverages.size)]
        lower[s], upper[s] = held.min(), held.max()
    return lower, upper

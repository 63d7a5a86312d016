"""Expected log growth of one step by quadrature, and the leverage that maximises it.

A step's distribution is a set of nodes: simple returns with weights that add up to 1. ``moved`` says whether funding is
paid on the notional at the step's end, L (1 + R), instead of at its beginning.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from gearing.storage.inner_functions import entry, inner

GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
RESOLUTION = 1e-4  # of the best leverage
FLOOR = 0.05  # equity left by a liquidation, as a fraction

Nodes = tuple[np.ndarray, np.ndarray]  # values and their weights


def normal_nodes(n: int) -> Nodes:
    """Gauss-Hermite nodes and weights of a standard normal distribution."""
    z, w = np.polynomial.hermite_e.hermegauss(n)
    return z, w / w.sum()


def student_nodes(degrees: float, n: int = 49, reach: float = 5.0) -> Nodes:
    """Nodes of a Student distribution of unit variance.

    The trapezoidal rule in s with x = sinh(s), which converges fast for power tails.
    """
    s = np.linspace(-reach, reach, n)
    x = np.sinh(s)
    weights = (1.0 + x**2 / degrees) ** (-0.5 * (degrees + 1.0)) * np.cosh(s)
    weights /= weights.sum()
    return x / math.sqrt((weights * x**2).sum()), weights


def exponential_nodes(mean: float, limit: float, n: int) -> Nodes:
    """Nodes of an exponential distribution truncated at ``limit``: Gauss-Legendre in the uniform that generates it."""
    x, w = np.polynomial.legendre.leggauss(n)
    u = 0.5 * (x + 1.0)
    return -mean * np.log1p(u * np.expm1(-limit / mean)), 0.5 * w


def jump_nodes(parameters: Mapping[str, Any], n: int = 12) -> Nodes:
    """Nodes of a jump's size, ``n`` down and ``n`` up, by the ``jump_*`` parameters of market A or B."""
    down, w_down = exponential_nodes(parameters["jump_down_mean"], parameters["jump_down_limit"], n)
    up, w_up = exponential_nodes(parameters["jump_up_mean"], parameters["jump_up_limit"], n)
    share = parameters["jump_down_share"]
    return np.concatenate([-down, up]), np.concatenate([share * w_down, (1.0 - share) * w_up])


@inner
def fill_nodes(
    drift: float,
    sd: float,
    chance: float,
    shocks: Nodes,
    jump_shocks: Nodes,
    jumps: Nodes,
    returns: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Write the nodes of R = exp(drift + sd z) (1 + J N) - 1 into ``returns`` and ``weights``, in place.

    Parameters
    ----------
    drift, sd : float
        Of the diffusive log return of the step.
    chance : float
        Probability of N = 1.
    shocks, jump_shocks : (nodes, weights)
        Nodes of z without and with a jump; the latter may be fewer.
    jumps : (nodes, weights)
        Nodes of the simple size J.
    returns, weights : arrays, shape (n_shocks + n_jump_shocks * n_jumps,)
    """
    k = 0
    for i in range(shocks[0].size):
        returns[k] = math.exp(drift + sd * shocks[0][i]) - 1.0
        weights[k] = (1.0 - chance) * shocks[1][i]
        k += 1
    for i in range(jump_shocks[0].size):
        base = math.exp(drift + sd * jump_shocks[0][i])
        for j in range(jumps[0].size):
            returns[k] = base * (1.0 + jumps[0][j]) - 1.0
            weights[k] = chance * jump_shocks[1][i] * jumps[1][j]
            k += 1


@inner
def step_growth(
    leverage: float, returns: np.ndarray, weights: np.ndarray, funding: float, moved: bool
) -> float:
    """E[ln max(1 + L R - L f, FLOOR)] of one step.

    Parameters
    ----------
    leverage : float
        Signed notional over equity at the step's beginning.
    returns, weights : arrays, shape (n_nodes,)
    funding : float
        Rate that settles at the step's end; positive: longs pay.
    moved : bool
    """
    total = 0.0
    for i in range(returns.size):
        paid = funding * (1.0 + returns[i]) if moved else funding
        total += weights[i] * math.log(max(1.0 + leverage * (returns[i] - paid), FLOOR))
    return total


@entry
def step_growths(
    leverages: np.ndarray,
    returns: np.ndarray,
    weights: np.ndarray,
    funding: np.ndarray,
    moved: bool,
    growth: np.ndarray,
) -> None:
    """Write ``step_growth`` of each row of nodes, at a leverage each, into ``growth``, shape (n_rows,)."""
    for s in range(growth.size):
        growth[s] = step_growth(leverages[s], returns[s], weights[s], funding[s], moved)


@inner
def best_leverage(
    returns: np.ndarray, weights: np.ndarray, funding: float, moved: bool, low: float, high: float
) -> float:
    """Leverage in [low, high] with the largest ``step_growth``, by golden section (g is concave above the floor)."""
    a, b = low, high
    x, y = b - GOLDEN * (b - a), a + GOLDEN * (b - a)
    gx = step_growth(x, returns, weights, funding, moved)
    gy = step_growth(y, returns, weights, funding, moved)
    while b - a > RESOLUTION:
        if gx >= gy:
            b, y, gy = y, x, gx
            x = b - GOLDEN * (b - a)
            gx = step_growth(x, returns, weights, funding, moved)
        else:
            a, x, gx = x, y, gy
            y = a + GOLDEN * (b - a)
            gy = step_growth(y, returns, weights, funding, moved)
    if high - b < RESOLUTION:
        return high
    return low if a - low < RESOLUTION else 0.5 * (a + b)


@inner
def drifted(leverage: float, simple_return: float, funding: float, moved: bool) -> float:
    """Leverage held after a step, l (1 + R) / (1 + l R - l f); zero after a liquidation."""
    paid = funding * (1.0 + simple_return) if moved else funding
    equity = 1.0 + leverage * (simple_return - paid)
    return leverage * (1.0 + simple_return) / equity if equity > FLOOR else 0.0

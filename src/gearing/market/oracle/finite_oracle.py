"""The solution of market A: growth of every state and leverage, no-trade bands, growth of the best policy.

See :mod:`gearing.market.oracle.best_leverage` for the equations and their source.
"""

import math
from dataclasses import dataclass

import numpy as np

from gearing.market.oracle.value_iteration import bands, iterate, landing
from gearing.market.synthetic.market_a import STEPS_A_YEAR, MarketA
from gearing.market.synthetic.quadrature import (
    FLOOR,
    Nodes,
    best_leverage,
    drifted,
    fill_nodes,
    jump_nodes,
    normal_nodes,
    step_growth,
    step_growths,
)
from gearing.storage.inner_functions import entry

COST = 5e-4
MAX_LEVERAGE = 10.0
TOLERANCE = 1e-9  # of value iteration, on the span of one iteration's change per step
LIMIT = 20_000


@dataclass(frozen=True, eq=False)
class Oracle:
    """The solution of market A.

    Parameters
    ----------
    model : MarketA
    leverages : array, shape (n_leverages,)
        The grid.
    growth : array, shape (n_states, n_leverages)
        g(L; s), expected log growth of a step without costs.
    frictionless : array, shape (n_states,)
        L*(s), off the grid.
    lower, upper : arrays, shape (n_states,)
        The no-trade band: below it go to ``lower``, above it to ``upper``, inside it hold.
    frictionless_growth, costed_growth : float
        Stationary expectation of log growth a year, of L* without cost and of the best policy with it.
    value : array, shape (n_states, n_leverages)
        h(s, l), relative to state 0 at leverage 0.
    cost : float
    iterations : int
    """

    model: MarketA
    leverages: np.ndarray
    growth: np.ndarray
    frictionless: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    frictionless_growth: float
    costed_growth: float
    value: np.ndarray
    cost: float
    iterations: int


def solve(
    model: MarketA,
    cost: float = COST,
    max_leverage: float = MAX_LEVERAGE,
    grid: float = 0.2,
    moved_funding: bool = False,
) -> Oracle:
    """Solve market A by relative value iteration.

    Parameters
    ----------
    model : MarketA
    cost : float
        Fraction of traded notional.
    max_leverage : float
        Leverage lies in [-max_leverage, max_leverage]; a drift beyond the bound is reduced at a cost.
    grid : float
        Step of the leverage grid.
    moved_funding : bool
        True: funding is paid on the notional at the step's end, L (1 + R) f, as the simulator does.
    """
    half = round(max_leverage / grid)
    leverages = np.linspace(-max_leverage, max_leverage, 2 * half + 1)
    growth = growth_table(model, leverages, moved_funding)
    returns, weights = transition_nodes(model)
    funding = model.of_state(model.funding, 2)
    cell, share, cut = landing(leverages, returns, funding, cost, moved_funding)
    trade = np.log(1.0 - cost * np.abs(leverages[:, None] - leverages[None, :]))
    value, reach, rho, count = iterate(
        growth, model.transitions, weights, cell, share, cut, trade, TOLERANCE, LIMIT
    )
    if count == LIMIT:
        raise ValueError(
            f"value iteration did not converge to {TOLERANCE} in {LIMIT} steps; use a coarser grid."
        )
    best = frictionless_leverage(model, max_leverage, moved_funding)
    lower, upper = bands(reach, trade, leverages)
    ideal = growth_of_targets(model, best, 0.0, moved_funding)
    return Oracle(
        model, leverages, growth, best, lower, upper, ideal, rho * STEPS_A_YEAR, value, cost, int(count)
    )


def growth_table(model: MarketA, leverages: np.ndarray, moved_funding: bool = False) -> np.ndarray:
    """g(L; s) of one step without costs, shape (n_states, n_leverages)."""
    returns, weights, funding = step_nodes(model)
    table = np.empty((leverages.size, funding.size))
    for leverage, growth in zip(leverages, table, strict=True):
        step_growths(np.full(funding.size, leverage), returns, weights, funding, moved_funding, growth)
    return np.ascontiguousarray(table.T)


def frictionless_leverage(
    model: MarketA, max_leverage: float = MAX_LEVERAGE, moved_funding: bool = False
) -> np.ndarray:
    """L*(s), off the grid, shape (n_states,)."""
    returns, weights, funding = step_nodes(model)
    best = np.empty(funding.size)
    _best_leverages(returns, weights, funding, moved_funding, -max_leverage, max_leverage, best)
    return best


def growth_of_targets(
    model: MarketA, targets: np.ndarray, cost: float = COST, moved_funding: bool = False
) -> float:
    """Stationary log growth a year of trading to ``targets[s]`` in every step, costs included.

    Parameters
    ----------
    targets : array, shape (n_states,)
    """
    wanted, gains = np.ascontiguousarray(targets, float), np.empty(len(model.stationary))
    _gains(wanted, *step_nodes(model), model.transitions, cost, moved_funding, gains)
    return float(model.stationary @ gains) * STEPS_A_YEAR


def step_nodes(model: MarketA) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fine nodes of each state's return (returns and weights, shape (n_states, n_nodes)), and its funding rate."""
    shocks = normal_nodes(25)
    returns, weights = _fill_all(*step_law(model), shocks, shocks, jump_nodes(vars(model)))
    return returns, weights, model.of_state(model.funding, 2)


def transition_nodes(model: MarketA) -> Nodes:
    """Five nodes of each state's return, by which the held leverage drifts, shape (n_states, 5).

    Three Gauss-Hermite nodes without a jump, and the mean down-jump and up-jump.
    """
    sizes, weights = jump_nodes(vars(model))
    down = sizes < 0.0
    share = np.array([weights[down].sum(), weights[~down].sum()])
    means = np.array([sizes[down] @ weights[down], sizes[~down] @ weights[~down]]) / share
    middle = (np.zeros(1), np.ones(1))
    return _fill_all(*step_law(model), normal_nodes(3), middle, (means, share))


def step_law(model: MarketA) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per state: drift and sd of the diffusive log return of a step, and the probability of a jump."""
    step = 1.0 / STEPS_A_YEAR
    sd = model.of_state(model.volatility, 1) * math.sqrt(step)
    chance = model.of_state(model.jumps_a_year, 1) * step
    drift = model.of_state(model.drift, 0) * step - np.log1p(chance * model.mean_jump()) - 0.5 * sd**2
    return drift, sd, chance


def _fill_all(
    drift: np.ndarray, sd: np.ndarray, chance: np.ndarray, shocks: Nodes, jump_shocks: Nodes, jumps: Nodes
) -> Nodes:
    size = shocks[0].size + jump_shocks[0].size * jumps[0].size
    returns, weights = np.empty((drift.size, size)), np.empty((drift.size, size))
    _fill_states(drift, sd, chance, shocks, jump_shocks, jumps, returns, weights)
    return returns, weights


@entry
def _fill_states(
    drift: np.ndarray,
    sd: np.ndarray,
    chance: np.ndarray,
    shocks: Nodes,
    jump_shocks: Nodes,
    jumps: Nodes,
    returns: np.ndarray,
    weights: np.ndarray,
) -> None:
    for s in range(drift.size):
        fill_nodes(drift[s], sd[s], chance[s], shocks, jump_shocks, jumps, returns[s], weights[s])


@entry
def _best_leverages(
    returns: np.ndarray,
    weights: np.ndarray,
    funding: np.ndarray,
    moved: bool,
    low: float,
    high: float,
    best: np.ndarray,
) -> None:
    for s in range(funding.size):
        best[s] = best_leverage(returns[s], weights[s], funding[s], moved, low, high)


@entry
def _gains(
    targets: np.ndarray,
    returns: np.ndarray,
    weights: np.ndarray,
    funding: np.ndarray,
    transitions: np.ndarray,
    cost: float,
    moved: bool,
    gains: np.ndarray,
) -> None:
    """Expected log growth of a step from each state, with the cost of going to the next state's target."""
    for s in range(targets.size):
        total = step_growth(targets[s], returns[s], weights[s], funding[s], moved)
        for i in range(returns.shape[1]):
            held = drifted(targets[s], returns[s, i], funding[s], moved)
            for t in range(targets.size):
                if transitions[s, t] > 0.0 and weights[s, i] > 0.0:
                    paid = math.log(max(1.0 - cost * abs(targets[t] - held), FLOOR))
                    total += weights[s, i] * transitions[s, t] * paid
        gains[s] = total

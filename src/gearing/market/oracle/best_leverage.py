"""The best leverage of a market with known parameters, with and without costs.

Source: evaluation protocol, section 8.1. For log utility the best leverage of a step depends only on the distribution
of its return R given the state s:

    g(L; s) = E[ ln max(1 + L R - L f, k) | s ],     L*(s) = argmax g,

f is the funding rate of the step and k the equity left by a liquidation. With a proportional cost c it is an
average-reward decision process on (state, held leverage l),

    h(s, l) + rho = max over L of { g(L; s) + ln(1 - c |L - l|) + sum P(s, s') E[h(s', l'')] },

where the held leverage drifts to l'' = l (1 + R) / (1 + l R - l f). Relative value iteration on a leverage grid
gives rho and, per state, a band of held leverages in which it is best not to trade.
"""

import json
import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from gearing.market.data import MarketData, market_list
from gearing.market.oracle.book_oracle import best_exposures, book_growth, is_book, model_of, trading_costs
from gearing.market.oracle.finite_oracle import (
    COST,
    MAX_LEVERAGE,
    Oracle,
    frictionless_leverage,
    solve,
    step_nodes,
)
from gearing.market.synthetic.market_a import MarketA, from_json
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
    student_nodes,
)
from gearing.market.timing import HOUR, YEAR
from gearing.storage.compiling import njit


@lru_cache(maxsize=16)
def _solved(parameters: str, cost: float, max_leverage: float) -> Oracle:
    return solve(from_json(parameters), cost, max_leverage)


def oracle_for(market: MarketData, cost: float = COST, max_leverage: float = MAX_LEVERAGE) -> Oracle:
    """The solution of the market A that ``market`` was generated from; computed once per setting.

    Raises
    ------
    ValueError
        If the market is not a market A.
    """
    if str(_truth(market)["generator"]) != "market-a":
        raise ValueError(
            f"{market!r} is not a market-a; only that has an oracle with costs. See oracle_leverage."
        )
    return _solved(str(_truth(market)["parameters"]), cost, max_leverage)


def oracle_leverage(market: MarketData, max_leverage: float = MAX_LEVERAGE) -> np.ndarray:
    """Frictionless best leverage of each bar, known at its open, shape (n_bars, n_contracts).

    L*(t) = argmax of g(L; .) with the true drift, variance, jump intensity and funding of the bar; each contract by
    itself. To second order (mu - f / D) / (sigma^2 + lam E[J^2]). Of a synthetic book it is the growth-optimal exposure
    times the number of contracts, as an account whose margin share is divided evenly takes it.
    """
    market_list(market)
    if is_book(market):
        return np.clip(best_exposures(market) * market.n_contracts, -max_leverage, max_leverage)
    return _bar_oracle(market, None, max_leverage)[0]


def oracle_step_growth(
    market: MarketData, leverage: np.ndarray | None = None, max_leverage: float = MAX_LEVERAGE
) -> np.ndarray:
    """Expected log growth of each bar at a leverage (default: the best), without costs, (n_bars, n_contracts)."""
    return _bar_oracle(market, leverage, max_leverage)[1]


def oracle_growth(
    market: MarketData, path: bool = False, cost: float | None = None, max_leverage: float = MAX_LEVERAGE
) -> float:
    """Log growth a year of the oracle.

    Parameters
    ----------
    market : MarketData
        Of one contract, or a synthetic book.
    path : bool
        False: the stationary expectation, for market A only. True: the realised growth of the oracle on this path.
    cost : float, optional
        Fraction of traded notional; 0 for the frictionless oracle. Market B has no oracle with costs: there the
        expectation along the path is the frictionless one's. Default: the protocol's; 0 for a synthetic book, which
        has no proportional costs ("book-costs" has quadratic ones of its own, which count).

    Notes
    -----
    Source: evaluation protocol, sections 8.1 to 8.3.
    """
    market_list(market)
    if is_book(market):
        return _book_growth(market, path, cost)
    cost = COST if cost is None else cost
    if market.n_contracts != 1:
        raise ValueError(
            f"oracle_growth needs one contract, {market!r} has {market.n_contracts}; select one."
        )
    years = float(market.n_bars * market.bar / YEAR)
    if str(_truth(market)["generator"]) != "market-a":
        if not path or cost:
            raise ValueError("market-b has no stationary oracle with costs; pass path=True, cost=0.")
        return float(oracle_step_growth(market, None, max_leverage).sum()) / years
    solution = oracle_for(market, cost, max_leverage)
    if not path:
        return solution.costed_growth if cost else solution.frictionless_growth
    return float(path_growth(market, solution).sum()) / years


def _book_growth(market: MarketData, path: bool, cost: float | None) -> float:
    """Of a synthetic book: the expectation, or what its best exposures earned on the path, rebalanced daily."""
    if cost:
        raise ValueError(f"{market.name} has no oracle with costs; pass cost=0.")
    model = model_of(market)
    if not path:
        return book_growth(model)
    if model.family == "book-floor":
        raise ValueError("the best book of book-floor depends on the account's drawdown; pass path=False.")
    returns = market.close / market.open - 1.0
    exposures = best_exposures(market)
    gains = np.maximum(1.0 + (exposures * returns).sum(axis=1), FLOOR)
    growth = np.log(gains) - trading_costs(model, exposures)
    return float(growth.sum()) / float(market.n_bars * market.bar / YEAR)


def path_growth(market: MarketData, oracle: Oracle) -> np.ndarray:
    """Realised log growth of each step of market A under the oracle, costs included, shape (n_bars,)."""
    returns, truth = market.close[:, 0] / market.open[:, 0] - 1.0, _truth(market)
    state, funding = truth["state"][:, 0], truth["funding"][:, 0]
    lower, upper = (oracle.lower, oracle.upper) if oracle.cost else (oracle.frictionless, oracle.frictionless)
    return _follow(returns, funding, state, lower, upper, oracle.cost)


def path_growth_of_targets(market: MarketData, targets: np.ndarray, cost: float = COST) -> np.ndarray:
    """Realised log growth of each step under target leverages (n_bars,), costs included, shape (n_bars,)."""
    returns = market.close[:, 0] / market.open[:, 0] - 1.0
    funding = market.truth["funding"][:, 0] if market.truth else np.zeros(market.n_bars)
    wanted, rows = np.broadcast_to(np.asarray(targets, float), returns.shape).copy(), np.arange(returns.size)
    return _follow(returns, funding, rows, wanted, wanted, cost)


def _truth(market: MarketData) -> Mapping[str, np.ndarray]:
    """What the generator of a market knows; other markets are refused."""
    if not market.truth or "generator" not in market.truth:
        raise ValueError(
            f"{market!r} has no known parameters; an oracle needs a synthetic market-a or market-b."
        )
    return market.truth


def _bar_oracle(market: MarketData, leverage: np.ndarray | None, max_leverage: float) -> Nodes:
    """Leverage (the best where none is given) and its expected growth, each of shape (n_bars, n_contracts)."""
    market_list(market)
    if is_book(market):
        raise ValueError(
            f"{market.name} is a book, whose contracts have no growth of their own; see oracle_growth and "
            "oracle_leverage."
        )
    truth = _truth(market)
    kind, parameters = str(truth["generator"]), str(truth["parameters"])
    if kind == "market-a" and leverage is None:
        return _state_oracle(from_json(parameters), truth["state"], max_leverage)
    step = float(market.bar / YEAR)
    drift, variance, rate, funding = (
        np.asarray(truth[name], float) for name in ("drift", "variance", "jump_intensity", "funding")
    )
    if kind == "market-a":
        model = from_json(parameters)
        shocks, jump_shocks, jumps = normal_nodes(25), normal_nodes(25), jump_nodes(vars(model))
        chance = rate * step
        trend = drift * step - np.log1p(chance * model.mean_jump())
    else:
        if market.bar != HOUR:
            raise ValueError(
                f"the distribution of market-b is known for its own hourly bars, not for those of {market!r}."
            )
        shocks, jump_shocks, jumps = _market_b_nodes(json.loads(parameters))
        chance = -np.expm1(-rate * step)
        trend = drift * step
    trend = trend - 0.5 * variance * step
    wanted = np.full(drift.shape, np.nan) if leverage is None else np.broadcast_to(leverage, drift.shape)
    best, growth = _bars(
        np.ascontiguousarray(wanted, float).ravel(), trend.ravel(), np.sqrt(variance * step).ravel(),
        chance.ravel(), funding.ravel(), shocks, jump_shocks, jumps, max_leverage,
    )  # fmt: skip
    return best.reshape(drift.shape), growth.reshape(drift.shape)


def _state_oracle(model: MarketA, state: np.ndarray, max_leverage: float) -> Nodes:
    """Best leverage and its growth in market A: one computation per state."""
    best = frictionless_leverage(model, max_leverage)
    growth = np.empty(best.size)
    step_growths(best, *step_nodes(model), False, growth)
    return best[state], growth[state]


def _market_b_nodes(parameters: dict[str, float]) -> tuple[Nodes, Nodes, Nodes]:
    """Shocks, shocks of hours with a jump, and simple jump sizes of market B (whose jumps are log sizes)."""
    sizes, weights = jump_nodes(parameters, 8)
    return student_nodes(parameters["degrees_of_freedom"]), normal_nodes(3), (np.expm1(sizes), weights)


@njit(cache=True)
def _bars(
    wanted: np.ndarray,
    trend: np.ndarray,
    sd: np.ndarray,
    chance: np.ndarray,
    funding: np.ndarray,
    shocks: Nodes,
    jump_shocks: Nodes,
    jumps: Nodes,
    bound: float,
) -> Nodes:
    size = shocks[0].size + jump_shocks[0].size * jumps[0].size
    returns, weights = np.empty(size), np.empty(size)
    best, growth = np.empty(trend.size), np.empty(trend.size)
    for t in range(trend.size):
        fill_nodes(trend[t], sd[t], chance[t], shocks, jump_shocks, jumps, returns, weights)
        best[t] = wanted[t]
        if np.isnan(wanted[t]):
            best[t] = best_leverage(returns, weights, funding[t], False, -bound, bound)
        growth[t] = step_growth(best[t], returns, weights, funding[t], False)
    return best, growth


@njit(cache=True)
def _follow(
    returns: np.ndarray,
    funding: np.ndarray,
    state: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
    cost: float,
) -> np.ndarray:
    held, out = 0.0, np.empty(returns.size)
    for t in range(returns.size):
        target = min(max(held, lower[state[t]]), upper[state[t]])
        gain = math.log(max(1.0 + target * (returns[t] - funding[t]), FLOOR))
        out[t] = gain + math.log(max(1.0 - cost * abs(target - held), FLOOR))
        held = drifted(target, returns[t], funding[t], False)
    return out

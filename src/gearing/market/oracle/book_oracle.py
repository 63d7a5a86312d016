"""The growth-optimal book of synthetic books, and its growth.

For log utility the best book is root'^-1 m, where m is the mean of the drift ``z`` given what is known, and grows by
E |m|^2 / 2 a year (certainty equivalence). What is known are past returns: with constant drifts m is z itself, with
hidden ones the estimate of a filter. All is in continuous time; daily bars differ by less than a hundredth.
"""

import math

import numpy as np

from gearing.market.data import MarketData
from gearing.market.synthetic.books import DAYS_A_YEAR, DRIFTING, FAMILIES, BookModel, book_from_json

_NODES = 20_001  # of the density of a regime's probability
_STEP = 1.0 / DAYS_A_YEAR


def is_book(market: MarketData) -> bool:
    """Whether a market is a synthetic book."""
    return market.truth is not None and str(market.truth.get("generator")) in FAMILIES


def model_of(market: MarketData) -> BookModel:
    """Parameters of a synthetic book.

    Raises
    ------
    ValueError
        For another market, or some contracts of a book: their best book is another one.
    """
    if market.truth is None or not is_book(market):
        raise ValueError(f"{market!r} is no synthetic book; its names are {', '.join(FAMILIES)}.")
    model = book_from_json(str(market.truth["parameters"]))
    if model.n_contracts != market.n_contracts:
        raise ValueError(
            f"{market!r} has {market.n_contracts} of the {model.n_contracts} contracts of its book; the oracle is that "
            "of all of them."
        )
    return model


def book_growth(model: BookModel) -> float:
    """Log growth a year of the best book, without costs.

    ``book-floor``: floor x |z|^2 / 2, the most for an account that may never lose more than ``floor`` of its peak
    (Cvitanic and Karatzas, 1995). ``book-costs``: after its costs, which are no part of the others.
    """
    constant = 0.5 * float(model.mean @ model.mean)
    if model.family == "book-floor":
        return model.floor * constant
    if model.family in DRIFTING:
        known = model.spread**2 - filter_variance(model)
        return constant + 0.5 * model.n_contracts * known / caution(model) ** 2
    if model.family == "book-regimes":
        return _regime_growth(model)
    return constant


def filter_variance(model: BookModel) -> float:
    """Variance that stays of each part of ``z`` given all past returns: P with 0 = 2 k (spread^2 - P) - P^2."""
    k = model.reversion
    return math.sqrt(k * k + 2.0 * k * model.spread**2) - k


def caution(model: BookModel) -> float:
    """1 + reversion x sqrt(cost): how many times smaller than the estimate the book is that costs let one aim at.

    For a part m of the estimate, which returns to 0 at the speed k, and the book y in units of risk, the most of the
    mean of m y - y^2 / 2 - cost (dy/dt)^2 / 2 is (variance of m) / (2 (1 + k sqrt(cost))^2), by trading towards
    m / (1 + k sqrt(cost)) at the speed 1 / sqrt(cost) (Garleanu and Pedersen, 2013, without discount).
    """
    return 1.0 + model.reversion * math.sqrt(model.cost) if model.family == "book-costs" else 1.0


def trading_costs(model: BookModel, exposures: np.ndarray) -> np.ndarray:
    """What quadratic costs take of log growth on every day (n_days,): cost |change of root' x|^2 / 2 over a day.

    Parameters
    ----------
    exposures : (n_days, n_contracts)
        Notional over equity of every day; the first day's book is there already.
    """
    risk = np.asarray(exposures, np.float64) @ model.root
    moves = np.diff(risk, axis=0, prepend=risk[:1])
    return np.asarray(0.5 * model.cost * (moves**2).sum(axis=1) / _STEP)


def _regime_growth(model: BookModel) -> float:
    """E |m|^2 / 2 over the stationary density of the probability p of the upper level.

    dp = k (1 - 2 p) dt + p (1 - p) d dB with d the distance of the levels (Wonham, 1965), so that the density is
    proportional to exp(-2 k / (d^2 p (1 - p))) / (p (1 - p))^2.
    """
    lower, upper = model.levels
    distance = float(np.linalg.norm(upper - lower))
    if distance == 0.0:
        return 0.5 * float(lower @ lower)
    p = (np.arange(_NODES) + 0.5) / _NODES
    inner = p * (1.0 - p)
    log = -2.0 * model.reversion / (distance**2 * inner) - 2.0 * np.log(inner)
    weight = np.exp(log - log.max())
    mean = lower + p[:, None] * (upper - lower)
    return 0.5 * float((weight * (mean**2).sum(axis=1)).sum() / weight.sum())


def best_exposures(market: MarketData) -> np.ndarray:
    """Growth-optimal exposure (notional over equity) of each day, known at its open (n_bars, n_contracts).

    For ``book-floor`` that of an account at its peak: floor x Merton's; below the peak it is times
    (floor - drawdown) / (floor (1 - drawdown)).
    """
    model = model_of(market)
    estimate = filtered(model, np.log(market.close / market.open))
    if model.family == "book-costs":
        estimate = _towards(model, estimate)
    exposures = np.linalg.solve(model.root.T, estimate.T).T
    return exposures * model.floor if model.family == "book-floor" else exposures


def filtered(model: BookModel, log_returns: np.ndarray) -> np.ndarray:
    """Mean of ``z`` given the returns of the days before (n_bars, n_contracts)."""
    n = len(log_returns)
    if model.family not in (*DRIFTING, "book-regimes"):
        return np.broadcast_to(model.mean, (n, model.n_contracts)).copy()
    # whitened returns a day: z dt + noise of variance dt in every part
    seen = np.linalg.solve(model.root, (log_returns + 0.5 * _STEP * model.sigma**2).T).T
    return _kalman(model, seen) if model.family in DRIFTING else _wonham(model, seen)


def _towards(model: BookModel, estimate: np.ndarray) -> np.ndarray:
    """The book in units of risk that trades towards what costs let it aim at (n_bars, n_contracts)."""
    aim = model.mean + (estimate - model.mean) / caution(model)
    if model.cost == 0.0:
        return aim
    part = -math.expm1(-_STEP / math.sqrt(model.cost))  # of the way that a day takes
    book, now = np.empty_like(aim), model.mean
    for t, wanted in enumerate(aim):
        now = now + part * (wanted - now)
        book[t] = now
    return book


def _kalman(model: BookModel, seen: np.ndarray) -> np.ndarray:
    """The exact filter of daily returns."""
    keep, variance = math.exp(-model.reversion * _STEP), model.spread**2
    estimate, found = np.zeros(model.n_contracts), np.empty_like(seen)
    for t, day in enumerate(seen):
        found[t] = model.mean + estimate
        gain = variance * _STEP / (variance * _STEP**2 + _STEP)
        estimate = keep * (estimate + gain * (day - found[t] * _STEP))
        variance = keep**2 * (variance - gain * _STEP * variance) + (1.0 - keep**2) * model.spread**2
    return found


def _wonham(model: BookModel, seen: np.ndarray) -> np.ndarray:
    """The exact filter of daily returns: Bayes' rule, then a possible jump."""
    lower, upper = model.levels
    jump = -0.5 * math.expm1(-2.0 * model.reversion * _STEP)
    odds = seen @ (upper - lower) - 0.5 * _STEP * float(upper @ upper - lower @ lower)
    p, known = 0.5, np.empty(len(seen))
    for t, day in enumerate(odds.tolist()):
        known[t] = p
        after = p / (p + (1.0 - p) * math.exp(-day))
        p = after * (1.0 - jump) + (1.0 - after) * jump
    return np.asarray(lower + known[:, None] * (upper - lower))

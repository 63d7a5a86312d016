"""Market B ("SV2-JF"): hourly bars with two volatility factors, jumps, season and funding.

Source: evaluation protocol, section 8.3. Hourly log return

    r = mu_s / 8760 - h / 2 + sqrt(h) e + J N,    h = exp(m + u + v) season(hour, weekday), capped

with a fast factor u, a slow factor v, Student e, jumps J at an intensity that rises with h, and a drift
regime s. Numbers not fixed by the protocol are marked "chosen" and tuned on its section 9.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from gearing.contracts import shipped_schedules, venue
from gearing.market.data import MarketData, settlement_array
from gearing.market.synthetic.generators import GENERATORS, START, streams
from gearing.market.synthetic.intrabar import mark_price, path_extremes
from gearing.market.timing import HOUR
from gearing.names import check_names
from gearing.storage.inner_functions import entry, inner

HOURS_A_YEAR = 8760
SETTLEMENT_HOURS = 8
MOMENTUM_HOURS = 168
N_NORMALS, N_UNIFORMS = 9, 10


@dataclass(frozen=True)
class MarketB:
    """Parameters; time constants in hours, variances per hour, rates as fractions.

    Attributes marked "chosen" are not fixed by the protocol.
    """

    level_volatility: float = 0.48  # a year; exp(m) = level^2 / 8760
    cap_volatility: float = 3.5
    fast_half_life: float = 10.0
    fast_sd: float = 0.95
    fast_return_correlation: float = -0.05
    fast_after_jump: float = 0.25
    slow_half_life: float = 25 * 24.0
    slow_sd: float = 0.75
    degrees_of_freedom: float = 4.5
    jumps_a_year: float = 30.0
    jump_exponent: float = 0.6
    jump_down_share: float = 0.55
    jump_down_mean: float = 0.018
    jump_up_mean: float = 0.015
    jump_down_limit: float = 0.22
    jump_up_limit: float = 0.18
    weekend_volatility: float = 0.72
    hourly_amplitude: float = 0.33
    hourly_peak: float = 15.0
    drift: tuple[float, float, float] = (-0.7, 0.1, 0.9)  # a year
    stay_days: tuple[float, float, float] = (25.0, 20.0, 30.0)
    funding_mean: tuple[float, float, float] = (-0.4e-4, 0.5e-4, 2.4e-4)
    funding_half_life: float = 6 * 24.0
    funding_mean_exponent: float = 0.6
    funding_persistence: float = 0.74  # per settlement
    funding_pull: float = 2.0e-4  # per unit of 7-day log return; chosen
    funding_noise: float = 1.1e-4  # stationary sd of the deviation at v = 0
    funding_noise_exponent: float = 0.9
    funding_cap: float = 30e-4
    funding_rest: float = 1e-4
    funding_rest_below: float = 1.5e-4  # rates this far below or
    funding_rest_above: float = 0.1e-4  # above the rest stick at it; chosen
    premium_persistence: float = 0.9  # per hour; chosen
    premium_noise: float = 1.0e-4  # at level volatility; chosen
    tick_noise: float = 1.5e-4  # traded price around the premium's average; chosen
    wick_noise: float = 0.06  # of the bar's sd, beyond the path's extremes; chosen
    wicks_a_year: float = 12.0  # far prints that the mark does not follow; chosen
    wick_mean: float = 0.012  # chosen
    turnover: float = 4e8  # quote an hour at level volatility; chosen
    start_price: float = 20_000.0
    drought_days_a_year: float = 0.0  # expected days of thin trading
    drought_mean_days: float = 2.0
    drought_volume: float = 0.15  # volume left
    drought_wicks: float = 3.0  # factor on wicks, premium and tick noise
    correlation: float = 0.75  # of returns between contracts; chosen
    volatility_correlation: float = 0.8  # of the factors' innovations; chosen
    jump_correlation: float = 0.6  # probability that a contract uses the common jump lottery; chosen
    funding_correlation: float = 0.6  # chosen

    def __post_init__(self) -> None:
        for name in ("correlation", "volatility_correlation", "jump_correlation", "funding_correlation"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"market-b: {name} {getattr(self, name)} must lie in [0, 1].")
        if not self.degrees_of_freedom > 2.0:
            raise ValueError(f"market-b: degrees_of_freedom {self.degrees_of_freedom} must exceed 2.")


@GENERATORS.register("market-b")
def generate(
    seed: int = 0, years: float = 6.0, contracts: Sequence[str] = ("BTC-SYN",), **changes: Any
) -> MarketData:
    """Generate hourly bars of one or several contracts.

    Parameters
    ----------
    seed : int
    years : float
        Of 8,760 hours.
    contracts : sequence of str
        They share the drift regime and are correlated; the first one's path does not depend on the
        others.
    **changes
        Fields of :class:`MarketB`.

    Notes
    -----
    ``truth``, each (n_bars, n_contracts): ``drift`` (of the simple return without jumps, a year),
    ``variance`` (diffusive, a year), ``jump_intensity`` (a year), ``funding`` (rate that settles at the bar's
    close, else 0) and ``regime`` (0 bear, 1 flat, 2 bull). ``parameters`` is the JSON of :class:`MarketB`.
    """
    check_names("market-b has no setting", changes, asdict(MarketB()))
    model = replace(MarketB(), **changes)
    n = round(years * HOURS_A_YEAR)
    normals, uniforms, mixing, regimes = draw(seed, n, len(contracts), model)
    season, drought = season_of(model, n), _drought(model, seed, n)
    draws = _Draws(normals, uniforms, mixing, regimes, season, drought)
    return _package(model, contracts, _paths(model, draws))


def settings_of(given: Mapping[str, Any]) -> list[str]:
    """Names of settings that ``generate`` takes besides its own arguments."""
    return list(asdict(MarketB()))


def season_of(model: MarketB, n: int) -> np.ndarray:
    """Variance factor of each hour from the start: hour of the day and weekend, shape (n,)."""
    hours = np.arange(n)
    daily = model.hourly_amplitude * np.cos(2 * np.pi * (hours % 24 - model.hourly_peak) / 24)
    weekday = (hours // 24 + 2) % 7  # the start is a Wednesday
    weekend = np.where(weekday >= 5, 2 * np.log(model.weekend_volatility), 0.0)
    return np.exp(daily + weekend)


class _Draws(NamedTuple):
    """What the paths of n bars of m contracts are made from."""

    normals: np.ndarray  # (n, m, 9)
    uniforms: np.ndarray  # (n, m, 10)
    # Variance of a bar relative to h: normal x sqrt(mixing) is Student of unit variance, jointly so for all contracts.
    mixing: np.ndarray  # (n,)
    regimes: np.ndarray  # (n + 1,), uniforms
    season: np.ndarray  # (n,), see ``season_of``
    drought: np.ndarray  # (n,), hours of thin trading


class _Paths(NamedTuple):
    """Prices are (n, m, 4): open, high, low, close."""

    last: np.ndarray
    mark: np.ndarray
    index_price: np.ndarray
    volume: np.ndarray  # (n, m)
    variance: np.ndarray  # (n, m), of an hour
    intensity: np.ndarray  # (n, m), of jumps an hour
    rates: np.ndarray  # (n // 8 + 1, m), of each settlement
    regime: np.ndarray  # (n,)


def draw(seed: int, n: int, m: int, model: MarketB) -> tuple[np.ndarray, ...]:
    """All random numbers: normals, uniforms, mixing and regimes.

    The shared part of each normal comes from the common stream, with the correlations of the model; jump
    lotteries are the common ones with probability ``jump_correlation``. Marginal distributions depend on neither.
    """
    common, *own = streams(seed, m)
    shares = np.array(
        [model.correlation, *(model.volatility_correlation,) * 2, model.funding_correlation]
        + [model.correlation] * (N_NORMALS - 4)
    )
    shared = common.standard_normal((n, N_NORMALS)) * np.sqrt(shares)
    lottery = 1.0 - common.random((n, 3))
    degrees = model.degrees_of_freedom
    mixing = (degrees - 2.0) / (2.0 * common.standard_gamma(degrees / 2.0, n))
    regimes = common.random(n + 1)
    normals, uniforms = np.empty((n, m, N_NORMALS)), np.empty((n, m, N_UNIFORMS))
    for k, stream in enumerate(own):
        normals[:, k] = shared + stream.standard_normal((n, N_NORMALS)) * np.sqrt(1.0 - shares)
        uniforms[:, k] = 1.0 - stream.random((n, N_UNIFORMS))
        joint = stream.random(n) < model.jump_correlation
        uniforms[joint, k, :3] = lottery[joint]
    return normals, uniforms, mixing, regimes


def _drought(model: MarketB, seed: int, n: int) -> np.ndarray:
    """Mask of hours of thin trading, shape (n,)."""
    if model.drought_days_a_year == 0.0:
        return np.zeros(n, bool)
    stream = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1 << 20,)))
    leave = 1.0 / (24.0 * model.drought_mean_days)
    share = model.drought_days_a_year / 365.0
    enter = leave * share / (1.0 - share)
    uniforms, flags, inside = stream.random(n), np.zeros(n, bool), False
    for t in range(n):
        inside = uniforms[t] >= leave if inside else uniforms[t] < enter
        flags[t] = inside
    return flags


def _numbers(model: MarketB) -> np.ndarray:
    """The model as one record, so that compiled code reads fields by name."""
    values = asdict(model)
    fields = [(name, "f8", np.shape(value)) for name, value in values.items()]
    return np.array([tuple(values.values())], dtype=np.dtype(fields, align=True))


@inner
def _next_regime(regime: int, stay_days: np.ndarray, u: float) -> int:
    leave = 1.0 / (24.0 * stay_days[regime])
    if u >= leave:
        return regime
    return (regime + (1 if u < 0.5 * leave else 2)) % 3


@inner
def _jump(p: Any, intensity: float, u: np.ndarray) -> float:
    """Log size of the hour's jump, 0 without a jump."""
    if u[0] > 1.0 - math.exp(-intensity):
        return 0.0
    down = u[1] <= p.jump_down_share
    mean = p.jump_down_mean if down else p.jump_up_mean
    limit = p.jump_down_limit if down else p.jump_up_limit
    size = -mean * math.log(1.0 - u[2] * (1.0 - math.exp(-limit / mean)))
    return -size if down else size


@inner
def _print_beyond(p: Any, u: float, h: float, level: float, thin: float) -> float:
    """How far the traded extreme lies beyond the path's: bid-ask noise, and rarely a far print."""
    beyond = -p.wick_noise * thin * math.sqrt(h) * math.log(u)
    far = p.wicks_a_year * thin / HOURS_A_YEAR
    if u < far:
        beyond -= p.wick_mean * math.sqrt(h / level) * math.log(u / far)
    return beyond


@inner
def _rate(p: Any, mean: float, slow: float, around: float) -> float:
    """Funding rate from its moving mean and the deviation around it, clipped, sticky at the rest."""
    rate = mean * math.exp(p.funding_mean_exponent * slow) + around
    rate = min(max(rate, -p.funding_cap), p.funding_cap)
    near = -p.funding_rest_below < rate - p.funding_rest < p.funding_rest_above
    return p.funding_rest if near else rate


def _paths(model: MarketB, draws: _Draws) -> _Paths:
    n, m = draws.normals.shape[:2]
    last, mark, index = (np.empty((n, m, 4)) for _ in range(3))
    volume, variance, intensity = (np.empty((n, m)) for _ in range(3))
    rates, regime = np.empty((n // SETTLEMENT_HOURS + 1, m)), np.empty(n, np.int64)
    paths = _Paths(last, mark, index, volume, variance, intensity, rates, regime)
    edges = np.cumsum(model.stay_days) / np.sum(model.stay_days)
    first = int(np.searchsorted(edges[:2], draws.regimes[n], side="right"))
    _simulate(_numbers(model), draws, first, paths)
    return paths


@entry
def _simulate(record: np.ndarray, draws: _Draws, first: int, paths: _Paths) -> None:
    """Simulate each contract hour by hour, from the first hour's regime; writes the paths."""
    p = record[0]
    normals, uniforms, mixing, regimes, season, drought = draws
    last, mark, index, volume, variance, intensity, rates, regime = paths
    n, m = volume.shape
    fast_keep, slow_keep = 0.5 ** (1.0 / p.fast_half_life), 0.5 ** (1.0 / p.slow_half_life)
    fast_step = p.fast_sd * math.sqrt(1.0 - fast_keep**2)
    slow_step = p.slow_sd * math.sqrt(1.0 - slow_keep**2)
    across = math.sqrt(1.0 - p.fast_return_correlation**2)
    mean_keep = 0.5 ** (SETTLEMENT_HOURS / p.funding_half_life)
    deviation = p.funding_noise * math.sqrt(1.0 - p.funding_persistence**2)
    level, cap = p.level_volatility**2 / HOURS_A_YEAR, p.cap_volatility**2 / HOURS_A_YEAR
    for k in range(m):
        z0 = normals[0, k]
        fast, slow = p.fast_sd * z0[7], p.slow_sd * z0[8]
        state = first
        funding_mean, around, premium = p.funding_mean[state], 0.0, 0.0
        rates[0, k] = _rate(p, funding_mean, slow, around)
        rate = rates[0, k]
        price = p.start_price * 0.1**k
        index_price, mark_now = price, price
        for t in range(n):
            z, u = normals[t, k], uniforms[t, k]
            regime[t] = state
            h = min(level * math.exp(fast + slow) * season[t], cap)
            lam = p.jumps_a_year / HOURS_A_YEAR * (h / level) ** p.jump_exponent
            variance[t, k], intensity[t, k] = h, lam
            shock = z[0] * math.sqrt(mixing[t])
            jump = _jump(p, lam, u)
            diffusive = p.drift[state] / HOURS_A_YEAR - 0.5 * h + math.sqrt(h) * shock
            high, low = path_extremes(diffusive, jump, h * mixing[t], u[3], z[6], u[4:8])
            thin = p.drought_wicks if drought[t] else 1.0
            opened = price
            price = opened * math.exp(diffusive + jump)
            last[t, k, 0], last[t, k, 3] = opened, price
            last[t, k, 1] = opened * math.exp(high + _print_beyond(p, u[8], h, level, thin))
            last[t, k, 2] = opened * math.exp(low - _print_beyond(p, u[9], h, level, thin))
            # index and mark at the close
            scale = thin * math.sqrt(h / level)
            rest = rate - p.funding_rest
            premium = rest + p.premium_persistence * (premium - rest) + p.premium_noise * scale * z[4]
            old_index, old_mark = index_price, mark_now
            index_price = price * math.exp(-premium - p.tick_noise * scale * z[5])
            share = 1.0 - ((t + 1) % SETTLEMENT_HOURS) / SETTLEMENT_HOURS
            mark_now = mark_price(index_price, price, premium, rate, share)
            _fill_bar(index[t, k], old_index, index_price, opened, price, high, low)
            _fill_bar(mark[t, k], old_mark, mark_now, opened, price, high, low)
            thinned = p.drought_volume if drought[t] else 1.0
            volume[t, k] = thinned * p.turnover / opened * math.sqrt(h / level) * math.exp(0.4 * z[7])
            # factors and regime of the next hour
            innovation = p.fast_return_correlation * shock + across * z[1]
            fast = fast_keep * fast + fast_step * innovation + (p.fast_after_jump if jump != 0.0 else 0.0)
            slow = slow_keep * slow + slow_step * z[2]
            state = _next_regime(state, p.stay_days, regimes[t])
            if (t + 1) % SETTLEMENT_HOURS == 0:
                past = last[max(t + 1 - MOMENTUM_HOURS, 0), k, 0]
                funding_mean = p.funding_mean[state] + mean_keep * (funding_mean - p.funding_mean[state])
                noise = deviation * math.exp(p.funding_noise_exponent * slow) * z[3]
                around = p.funding_persistence * around + p.funding_pull * math.log(price / past) + noise
                rate = _rate(p, funding_mean, slow, around)
                rates[(t + 1) // SETTLEMENT_HOURS, k] = rate


@inner
def _fill_bar(
    bar: np.ndarray,
    opened: float,
    closed: float,
    last_open: float,
    last_close: float,
    high: float,
    low: float,
) -> None:
    """Fill a price that follows the traded path at a distance, without far prints, in place."""
    gap = 0.5 * (math.log(opened / last_open) + math.log(closed / last_close))
    bar[0], bar[3] = opened, closed
    bar[1] = max(opened, closed, last_open * math.exp(high + gap))
    bar[2] = min(opened, closed, last_open * math.exp(low + gap))


def _package(model: MarketB, contracts: Sequence[str], paths: _Paths) -> MarketData:
    last, mark, index, volume, variance, intensity, rates, regime = paths
    n, m = volume.shape
    newest = replace(shipped_schedules("BTCUSDT")[-1], as_of=None)
    contract = venue().contract("BTCUSDT", (newest,))
    open_time = START + HOUR * np.arange(n)
    regimes = np.repeat(regime[:, None], m, axis=1)
    funding = np.zeros((n, m))
    funding[SETTLEMENT_HOURS - 1 :: SETTLEMENT_HOURS] = rates[1 : 1 + n // SETTLEMENT_HOURS]
    settled = np.arange(
        0, n, SETTLEMENT_HOURS
    )  # at 00, 08 and 16 UTC; that at the last close lies beyond the bars
    truth = {
        "drift": np.array(model.drift)[regimes],
        "variance": variance * HOURS_A_YEAR,
        "jump_intensity": intensity * HOURS_A_YEAR,
        "funding": funding,
        "regime": regimes,
        "generator": np.array("market-b"),
        "parameters": np.array(json.dumps(asdict(model))),
    }
    return MarketData(
        open_time=open_time,
        bar=HOUR,
        contracts=tuple(replace(contract, symbol=symbol) for symbol in contracts),
        last=last,
        mark=mark,
        volume=volume,
        settlements=settlement_array(
            open_time[settled, None], np.arange(m), rates[: settled.size], mark[settled, :, 0]
        ),
        tradable=np.ones((n, m), bool),
        index=index,
        truth=truth,
        name="market-b",
    )

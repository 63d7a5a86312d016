"""Market A ("RS-SVJF"): finitely many states, steps of eight hours, whose best leverage can be computed.

Source: evaluation protocol, section 8.2. A state is (drift regime, volatility regime, funding level). Over a step of
D years the simple return is

    R = exp((mu - sigma^2 / 2) D + sigma sqrt(D) z) (1 + J N) / (1 + lam D E[J]) - 1,

with N = 1 with probability lam D (at most one jump a step), so that E[R] = exp(mu D) - 1. A holder of leverage L pays
L f at the step's end, f being the state's funding level, known when the step begins.

The protocol does not specify the next regime or how funding moves. Chosen here: drift regimes leave to either other
one equally, ``VOLATILITY_EXITS`` meet the stationary shares, and the nine numbers of the funding chain were fitted to
the protocol's published figures: the mean funding of 1.5 bp, the growth of its policies with and without costs, the
no-trade bands at 1 bp, and the growth of the Bayes filter where the regimes are hidden (which the tilt decides: the
more informative funding is about the drift, the more the filter earns). ``docs/market-a.md`` has the table.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from gearing.contracts import Contract, TierSchedule
from gearing.market.data import MarketData, settlement_array
from gearing.market.synthetic.generators import GENERATORS, START, streams
from gearing.market.timing import HOUR
from gearing.names import check_names
from gearing.storage.compiling import njit

STEPS_A_YEAR = 1095
STEP = 8 * HOUR
DRIFT_EXITS = ((0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
VOLATILITY_EXITS = (
    (0.00, 0.92, 0.07, 0.01),
    (0.55, 0.00, 0.43, 0.02),
    (0.06, 0.78, 0.00, 0.16),
    (0.00, 0.25, 0.75, 0.00),
)


@dataclass(frozen=True)
class MarketA:
    """Parameters; a year has 1,095 steps, rates are fractions per step.

    Tuples run over regimes: drift (bear, flat, bull), volatility (calm, normal, high, storm), funding levels.
    ``funding_up`` and ``funding_down`` are the probabilities per step of moving to the next higher and the
    next lower level; a drift regime multiplies the first by its ``funding_tilt`` and divides the second by it.
    """

    drift: tuple[float, ...] = (-0.5, 0.3, 1.0)
    drift_stay_days: tuple[float, ...] = (25.0, 20.0, 30.0)
    drift_exits: tuple[tuple[float, ...], ...] = DRIFT_EXITS
    volatility: tuple[float, ...] = (0.28, 0.50, 0.80, 1.60)
    volatility_stay_days: tuple[float, ...] = (12.0, 8.0, 4.0, 1.5)
    volatility_exits: tuple[tuple[float, ...], ...] = VOLATILITY_EXITS
    jumps_a_year: tuple[float, ...] = (6.0, 12.0, 25.0, 80.0)
    jump_down_share: float = 0.55
    jump_down_mean: float = 0.022
    jump_up_mean: float = 0.018
    jump_down_limit: float = 0.25
    jump_up_limit: float = 0.20
    funding: tuple[float, ...] = (-2e-4, 0.0, 1e-4, 3e-4, 8e-4)
    funding_up: tuple[float, ...] = (0.1947, 0.2091, 0.0405, 0.1716)
    funding_down: tuple[float, ...] = (0.1091, 0.0923, 0.4767, 0.1163)
    funding_tilt: tuple[float, ...] = (0.6065, 1.0, 1.6487)
    correlation: float = 0.75  # of returns, where several contracts share the states
    start_price: float = 20_000.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Numbers of drift regimes, volatility regimes and funding levels."""
        return len(self.drift), len(self.volatility), len(self.funding)

    @property
    def n_states(self) -> int:
        return int(np.prod(self.shape))

    def of_state(self, values: Sequence[float], axis: int) -> np.ndarray:
        """Spread values of one regime axis (0 drift, 1 volatility, 2 funding) over the states, (n_states,)."""
        index = np.unravel_index(np.arange(self.n_states), self.shape)[axis]
        return np.asarray(values)[index]

    @cached_property
    def transitions(self) -> np.ndarray:
        """Probability of each state after each state, shape (n_states, n_states)."""
        drifts = _chain(self.drift_stay_days, np.array(self.drift_exits))
        volatilities = _chain(self.volatility_stay_days, np.array(self.volatility_exits))
        steps = np.empty((*self.shape, *self.shape))
        for d in range(self.shape[0]):
            tilt = self.funding_tilt[d]
            levels = _birth_death(np.array(self.funding_up) * tilt, np.array(self.funding_down) / tilt)
            steps[d] = np.einsum("e,vw,fg->vfewg", drifts[d], volatilities, levels)
        return steps.reshape(self.n_states, self.n_states)

    @cached_property
    def stationary(self) -> np.ndarray:
        """Long-run share of each state, shape (n_states,)."""
        system = np.vstack([self.transitions.T - np.eye(self.n_states), np.ones(self.n_states)])
        target = np.append(np.zeros(self.n_states), 1.0)
        return np.linalg.lstsq(system, target, rcond=None)[0]

    def mean_jump(self) -> float:
        """E[J], the mean simple size of a jump."""
        down = _truncated_mean(self.jump_down_mean, self.jump_down_limit)
        up = _truncated_mean(self.jump_up_mean, self.jump_up_limit)
        return (1.0 - self.jump_down_share) * up - self.jump_down_share * down


ONE_VOLATILITY = {
    "volatility": (0.5,),
    "volatility_stay_days": (1.0,),
    "volatility_exits": ((0.0,),),
    "jumps_a_year": (0.0,),
}
NO_FUNDING: Mapping[str, Any] = {"funding": (0.0,), "funding_up": (), "funding_down": ()}
ONE_DRIFT = {"drift_stay_days": (1.0,), "funding_tilt": (1.0,)}
VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "full": {},
    "one-volatility": ONE_VOLATILITY,
    "no-jumps": {"jumps_a_year": (0.0, 0.0, 0.0, 0.0)},
    "no-funding": NO_FUNDING,
    "zero-drift": {"drift": (0.0,), **ONE_DRIFT},
    "drift-only": {**ONE_VOLATILITY, **NO_FUNDING},
    "funding-only": {"drift": (0.0,), **ONE_DRIFT, **ONE_VOLATILITY},
    "merton": {"drift": (0.5,), **ONE_DRIFT, **ONE_VOLATILITY, **NO_FUNDING},
}


def market_a(variant: str = "full", **changes: Any) -> MarketA:
    """Parameters of a variant: "full", "one-volatility", "no-jumps", "no-funding", "zero-drift", "drift-only",
    "funding-only" or "merton" (one drift, one volatility, nothing else)."""
    check_names("market-a has no variant", [variant], VARIANTS)
    check_names("market-a has no setting", changes, asdict(MarketA()))
    return replace(MarketA(), **{**VARIANTS[variant], **changes})


def settings_of(given: Mapping[str, Any]) -> list[str]:
    """Names of settings that ``generate`` takes besides its own arguments; an unknown variant is refused."""
    return list(asdict(market_a(given.get("variant", "full"))))


def from_json(text: str) -> MarketA:
    """Read the parameters of a market from ``truth["parameters"]``."""
    values = {k: _tupled(v) for k, v in json.loads(text).items()}
    return MarketA(**values)


@GENERATORS.register("market-a")
def generate(
    seed: int = 0,
    years: float = 6.0,
    contracts: Sequence[str] = ("A-SYN",),
    variant: str = "full",
    **changes: Any,
) -> MarketData:
    """Generate steps of eight hours of one or several contracts.

    Several contracts share the states; their returns are correlated and jump together.

    Notes
    -----
    Highs and lows are those of open and close, so a path inside the bar adds nothing; mark and index equal
    the traded price. The contract has one tier of rate 0 and no tick, lot or minimum. ``predicted_rate`` is the
    funding level of the next step, known at the bar's close.

    ``truth``, each (n_bars, n_contracts), as of the bar's open: ``drift``, ``variance`` (diffusive),
    ``jump_intensity`` (all a year), ``funding`` (settles at the bar's close), ``regime`` (drift regime),
    ``volatility_regime``, ``state``; ``state_at_close`` is the state in which the next step begins.
    """
    model = market_a(variant, **changes)
    n, m = round(years * STEPS_A_YEAR), len(contracts)
    if n < 1:
        raise ValueError(f"market-a: {years} years hold no step of eight hours.")
    common, *own = streams(seed, m)
    states = _walk(np.cumsum(model.transitions, axis=1), np.cumsum(model.stationary), common.random(n + 1))
    shared = common.standard_normal(n)
    lottery = 1.0 - common.random((n, 3))
    normals = np.empty((n, m))
    for k, stream in enumerate(own):
        weight = model.correlation
        normals[:, k] = np.sqrt(weight) * shared + np.sqrt(1.0 - weight) * stream.standard_normal(n)
    growth = 1.0 + returns_of(model, states[:n], normals, lottery)
    return _package(model, variant, contracts, states, np.cumprod(growth, axis=0) * model.start_price)


def returns_of(model: MarketA, states: np.ndarray, normals: np.ndarray, lottery: np.ndarray) -> np.ndarray:
    """Simple returns of the steps, shape (n, m), from states (n,), normals (n, m) and uniforms (n, 3)."""
    step = 1.0 / STEPS_A_YEAR
    drift, volatility = model.of_state(model.drift, 0)[states], model.of_state(model.volatility, 1)[states]
    chance = model.of_state(model.jumps_a_year, 1)[states] * step
    down = lottery[:, 1] <= model.jump_down_share
    mean = np.where(down, model.jump_down_mean, model.jump_up_mean)
    limit = np.where(down, model.jump_down_limit, model.jump_up_limit)
    size = -mean * np.log1p(-lottery[:, 2] * -np.expm1(-limit / mean))
    jump = np.where(lottery[:, 0] <= chance, np.where(down, -size, size), 0.0)
    trend = (drift - 0.5 * volatility**2) * step + np.log((1.0 + jump) / (1.0 + chance * model.mean_jump()))
    return np.expm1(trend[:, None] + (volatility * np.sqrt(step))[:, None] * normals)


@njit(cache=True)
def _walk(cumulative: np.ndarray, stationary: np.ndarray, uniforms: np.ndarray) -> np.ndarray:
    states = np.empty(uniforms.size, np.int64)
    last = stationary.size - 1
    states[0] = min(np.searchsorted(stationary, uniforms[0], side="right"), last)
    for t in range(1, uniforms.size):
        row = cumulative[states[t - 1]]
        states[t] = min(np.searchsorted(row, uniforms[t], side="right"), last)
    return states


def _chain(stay_days: Sequence[float], exits: np.ndarray) -> np.ndarray:
    if len(stay_days) == 1:
        return np.ones((1, 1))
    leave = 1.0 / (3.0 * np.asarray(stay_days))
    return np.diag(1.0 - leave) + leave[:, None] * exits


def _birth_death(up: np.ndarray, down: np.ndarray) -> np.ndarray:
    steps = np.diag(up, 1) + np.diag(down, -1) if up.size else np.zeros((1, 1))
    return steps + np.diag(1.0 - steps.sum(axis=1))


def _truncated_mean(mean: float, limit: float) -> float:
    """Mean of an exponential distribution truncated at ``limit``."""
    return mean - limit / np.expm1(limit / mean)


def _tupled(value: Any) -> Any:
    return tuple(_tupled(v) for v in value) if isinstance(value, list) else value


def _package(
    model: MarketA, variant: str, contracts: Sequence[str], states: np.ndarray, close: np.ndarray
) -> MarketData:
    n, m = close.shape
    opened = np.vstack([np.full(m, model.start_price), close[:-1]])
    prices = np.stack([opened, np.maximum(opened, close), np.minimum(opened, close), close], axis=-1)
    drift, volatility, level = np.unravel_index(states, model.shape)
    funding = np.asarray(model.funding)[level]

    def wide(values: Any) -> np.ndarray:
        return np.repeat(np.asarray(values)[:, None], m, axis=1)

    truth = {
        "drift": wide(np.asarray(model.drift)[drift[:n]]),
        "variance": wide(np.asarray(model.volatility)[volatility[:n]] ** 2),
        "jump_intensity": wide(np.asarray(model.jumps_a_year)[volatility[:n]]),
        "funding": wide(funding[:n]),
        "regime": wide(drift[:n]),
        "volatility_regime": wide(volatility[:n]),
        "state": wide(states[:n]),
        "state_at_close": wide(states[1:]),
        "generator": np.array("market-a"),
        "parameters": np.array(json.dumps(asdict(model))),
    }
    tier = TierSchedule.flat(0.0, max_leverage=20.0, source="no maintenance margin")
    open_time = START + STEP * np.arange(n)
    return MarketData(
        open_time=open_time,
        bar=STEP,
        contracts=tuple(Contract(symbol, schedules=(tier,)) for symbol in contracts),
        last=prices,
        mark=prices,
        volume=1e9 / close,
        # the level of each step settles at its end; the last one lies beyond the bars
        settlements=settlement_array(open_time[1:, None], np.arange(m), funding[: n - 1, None], opened[1:]),
        tradable=np.ones((n, m), bool),
        index=prices,
        predicted_rate=wide(funding[1:]),
        truth=truth,
        name="market-a" if variant == "full" else f"market-a {variant}",
    )

"""Markets of several contracts whose growth-optimal book is known.

All have daily bars, no funding and one correlation for all pairs of contracts. Prices follow dS/S = mu dt + sigma dB.
``z`` is the drift in units of risk: mu = root z, where root root' is the covariance a year, so that a book
x = root'^-1 z grows by |z|^2 / 2 a year, the most there is.

``book-merton``: constant drifts (Merton, 1969). ``book-floor``: the same, for an account that may never lose more than
``floor`` of its peak (Grossman and Zhou, 1993). ``book-drift``: hidden drifts that return to their mean (Kalman and
Bucy, 1961). ``book-regimes``: hidden drifts that jump between two levels (Wonham, 1965). ``book-wrong``: heavy-tailed
returns without any drift but a constant one; what was learned on drifting means only costs there. ``book-costs``: the
drifts of "book-drift", and a cost of trading that is quadratic in the traded risk (Garleanu and Pedersen, 2013).
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from gearing.contracts import Contract, TierSchedule
from gearing.market.data import SETTLEMENT_DTYPE, MarketData
from gearing.market.synthetic.generators import GENERATORS, START, streams
from gearing.market.timing import DAY
from gearing.names import check_names

DAYS_A_YEAR = 365
_SYMBOLS = 8


@dataclass(frozen=True)
class BookModel:
    """Parameters of a synthetic book; rates and drifts are a year.

    Parameters
    ----------
    family : str
        What is hidden and what is known, see the module.
    n_contracts : int
    volatility : tuple of float
        Lowest and highest; contracts lie between them at equal ratios.
    correlation : float
        Of every pair.
    sharpe : float
        Size of the constant part of ``z``, which points along the book of equal risks.
    spread : float
        Standard deviation of each part of ``z``: of the hidden drift around its mean ("book-drift"), or of the two
        levels ("book-regimes").
    reversion : float
        Speed at which hidden drifts return to the mean, or rate of each jump between the two levels.
    floor : float
        Largest loss from the peak that "book-floor" allows.
    degrees_of_freedom : float
        Of the Student shocks of "book-wrong".
    cost : float
        Of "book-costs" [years^2]: trading at the rate u of risk (a change of root' x a year) costs cost |u|^2 / 2 of
        equity a year. The cheapest way to a book takes about sqrt(cost) years.
    start_price : float
    """

    family: str = "book-merton"
    n_contracts: int = _SYMBOLS
    volatility: tuple[float, ...] = (0.5, 1.2)
    correlation: float = 0.6
    sharpe: float = 0.8
    spread: float = 0.0
    reversion: float = 2.0
    floor: float = 0.5
    degrees_of_freedom: float = 4.0
    cost: float = 0.0
    start_price: float = 100.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "volatility", tuple(float(x) for x in self.volatility))
        low, high = self.volatility
        if not (0.0 < low <= high and 0.0 <= self.correlation < 1.0 and self.n_contracts >= 1):
            raise ValueError(
                f"{self.family}: volatility {self.volatility} must be positive and ascend, correlation "
                f"{self.correlation} must be in [0, 1), n_contracts {self.n_contracts} at least 1."
            )
        if not (self.spread >= 0.0 and self.reversion > 0.0 and 0.0 < self.floor < 1.0):
            raise ValueError(
                f"{self.family}: spread {self.spread} must be 0 or more, reversion {self.reversion} positive, floor "
                f"{self.floor} in (0, 1)."
            )
        if not 0.0 <= self.cost < np.inf:
            raise ValueError(f"{self.family}: cost {self.cost} must be 0 or more, and finite.")
        if not self.degrees_of_freedom > 2.0:
            raise ValueError(f"{self.family}: degrees_of_freedom {self.degrees_of_freedom} must exceed 2.")

    @cached_property
    def sigma(self) -> np.ndarray:
        """Volatility of each contract, (n_contracts,)."""
        low, high = self.volatility
        return np.geomspace(low, high, self.n_contracts)

    @cached_property
    def covariance(self) -> np.ndarray:
        """Of returns a year, (n_contracts, n_contracts)."""
        pairs = self.correlation + (1.0 - self.correlation) * np.eye(self.n_contracts)
        return np.outer(self.sigma, self.sigma) * pairs

    @cached_property
    def root(self) -> np.ndarray:
        """Lower triangular root of the covariance."""
        return np.linalg.cholesky(self.covariance)

    @cached_property
    def direction(self) -> np.ndarray:
        """Unit vector of ``z`` whose best book has equal risks: exposures in inverse proportion to volatility."""
        direction = np.linalg.solve(self.root, self.covariance @ (1.0 / self.sigma))
        return np.asarray(direction / np.linalg.norm(direction))

    @property
    def mean(self) -> np.ndarray:
        """Constant part of ``z``, (n_contracts,)."""
        return self.sharpe * self.direction

    @cached_property
    def levels(self) -> np.ndarray:
        """The two levels of ``z`` in "book-regimes", (2, n_contracts): the mean less and plus spread x sqrt(n) along
        its direction."""
        step = self.spread * np.sqrt(self.n_contracts) * self.direction
        return np.stack([self.mean - step, self.mean + step])


DRIFTING = ("book-drift", "book-costs")  # families whose drifts are a process that returns to its mean
FAMILIES: dict[str, dict[str, float]] = {
    "book-merton": {},
    "book-floor": {},
    "book-drift": {"spread": 1.0, "sharpe": 0.5},
    "book-regimes": {"spread": 0.5, "sharpe": 0.5},
    "book-wrong": {"sharpe": 0.5},
    "book-costs": {"spread": 1.0, "sharpe": 0.5, "cost": 0.01},
}


def book_model(family: str, **changes: Any) -> BookModel:
    """Parameters of a family."""
    check_names("no synthetic book", [family], FAMILIES)
    names = [name for name in asdict(BookModel()) if name != "family"]
    check_names(f"{family} has no setting", changes, names)
    given: dict[str, Any] = {**FAMILIES[family], **changes, "family": family}
    return replace(BookModel(), **given)


def book_from_json(text: str) -> BookModel:
    """Read the parameters of a market from ``truth["parameters"]``."""
    return BookModel(**json.loads(text))


def settings_of(given: Any) -> list[str]:
    """Names of settings that the generators take besides their own arguments."""
    return [name for name in asdict(BookModel()) if name != "family"]


def generate_book(
    family: str,
    seed: int = 0,
    years: float = 6.0,
    contracts: Sequence[str] | None = None,
    **changes: Any,
) -> MarketData:
    """Generate daily bars of a synthetic book.

    ``truth``: ``z`` (n_bars, n_contracts), the drift of each day in units of risk; ``shock`` (n_bars, n_contracts),
    what moves the day besides, in daily standard deviations of independent parts; ``generator`` and ``parameters``.

    Notes
    -----
    Highs and lows are those of open and close; the mark is the traded price. The contracts have one tier of rate 0
    and no tick, lot or minimum.
    """
    if contracts is not None and len(contracts) != changes.setdefault("n_contracts", len(contracts)):
        raise ValueError(
            f"{family}: {len(contracts)} contracts are named and n_contracts is {changes['n_contracts']}."
        )
    model = book_model(family, **changes)
    symbols = tuple(contracts or (f"C{k:02d}-SYN" for k in range(1, model.n_contracts + 1)))
    n = round(years * DAYS_A_YEAR)
    if n < 2:
        raise ValueError(f"{family}: {years} years hold no two days.")
    hidden, shocks = streams(seed, 1)
    z = _drifts(model, n, hidden)
    shock = shocks.standard_normal((n, model.n_contracts))
    if family == "book-wrong":
        degrees = model.degrees_of_freedom
        shock *= np.sqrt(
            (degrees - 2.0) / shocks.chisquare(degrees, (n, 1))
        )  # one shock for all: days are heavy
    step = 1.0 / DAYS_A_YEAR
    moves = (z * step + shock * np.sqrt(step)) @ model.root.T - 0.5 * step * model.sigma**2
    return _package(model, symbols, z, shock, model.start_price * np.exp(np.cumsum(moves, axis=0)))


def _drifts(model: BookModel, n: int, rng: np.random.Generator) -> np.ndarray:
    """``z`` of every day (n, n_contracts)."""
    if model.family in DRIFTING:
        keep = np.exp(-model.reversion / DAYS_A_YEAR)
        noise = rng.standard_normal((n, model.n_contracts)) * model.spread
        hidden = np.empty_like(noise)
        hidden[0] = noise[0]
        for t in range(1, n):
            hidden[t] = keep * hidden[t - 1] + np.sqrt(1.0 - keep**2) * noise[t]
        return model.mean + hidden
    if model.family == "book-regimes":
        jump = 0.5 * -np.expm1(-2.0 * model.reversion / DAYS_A_YEAR)  # chance of the other level a day later
        moved = rng.random(n) < np.append(0.5, np.full(n - 1, jump))
        return model.levels[np.cumsum(moved) % 2]
    return np.broadcast_to(model.mean, (n, model.n_contracts)).copy()


def _package(
    model: BookModel, symbols: Sequence[str], z: np.ndarray, shock: np.ndarray, close: np.ndarray
) -> MarketData:
    n, m = close.shape
    opened = np.vstack([np.full(m, model.start_price), close[:-1]])
    prices = np.stack([opened, np.maximum(opened, close), np.minimum(opened, close), close], axis=-1)
    tier = TierSchedule.flat(0.0, max_leverage=100.0, source="no maintenance margin")
    truth = {
        "z": z, "shock": shock, "generator": np.array(model.family), "parameters": np.array(json.dumps(asdict(model))),
    }  # fmt: skip
    return MarketData(
        open_time=START + DAY * np.arange(n),
        bar=DAY,
        contracts=tuple(Contract(symbol, schedules=(tier,)) for symbol in symbols),
        last=prices,
        mark=prices,
        volume=1e9 / close,
        settlements=np.empty(0, SETTLEMENT_DTYPE),
        tradable=np.ones((n, m), bool),
        truth=truth,
        name=model.family,
    )


def _register(family: str) -> None:
    def generate(
        seed: int = 0, years: float = 6.0, contracts: Sequence[str] | None = None, **changes: Any
    ) -> MarketData:
        return generate_book(family, seed, years, contracts, **changes)

    generate.__qualname__ = f"generate_{family.replace('-', '_')}"
    GENERATORS.add(family, generate)


for _family in FAMILIES:
    _register(_family)

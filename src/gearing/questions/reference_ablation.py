"""An independent run of the case study, and what moves this one's figures towards it.

The reference: 5 bp fees, real funding, maintenance 0.5 %, hourly last-price extremes, BTC, 2020-01 to 2026-05. It does
not tell its momentum, its way of rebalancing, nor how it knows high from low volatility; so those are varied, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gearing.contracts import TierSchedule
from gearing.evaluation.accounts import play_sizes
from gearing.evaluation.playing import all_decisions
from gearing.evaluation.risk.safest_leverage import HORIZONS, Starts
from gearing.features import FeatureSet, FeatureTable, parse_duration
from gearing.market.data import MarketData
from gearing.market.durations import bars_in
from gearing.questions.rule_grid.play import REBALANCING
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator

if TYPE_CHECKING:
    import pandas as pd

RUINED = {"fixed_3x": 5, "fixed_5x": 8, "fixed_10x": 9, "fixed_20x": 9, "volatility_weighted": 8}
LIQUIDATED = {"1d": 0.02, "7d": 0.19, "30d": 0.49, "90d": 0.68, "365d": 0.75}
RATIO = (
    0.85,
    2.29,
)  # Sharpe of the 3x/8x rule over fixed 10x's with a tenth of equity as margin, least and largest
INVERSE_ATR = (0.69, 0.76, 0.98)  # its best rule's Sharpe, taken to be long, long/short, long/flat
TOLERANCE = 0.0151  # counts must be equal; ratios and shares agree to about a hundredth
CASE_STUDY_START = "2020-01-24"  # mark prices begin on 23 December 2019, and 30 days of columns are warm then

Progress = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Variant:
    """The case study with something changed.

    Attributes
    ----------
    settings : mapping
        Of the simulation.
    maintenance : float, optional
        One margin tier of this rate for every size, instead of the contract's own.
    start : str
        First decision; the case study's own by default.
    signal : (kind, window)
        "return" or "mean": the side is the sign of the window's return, or of the distance to its mean.
    step : bool
        The rule is 3x above the median of the trailing volatility percentile and 8x below, instead of straight between.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    maintenance: float | None = None
    start: str = CASE_STUDY_START
    signal: tuple[str, str] = ("return", "30d")
    step: bool = False


_LAST = {"liquidation_series": "last"}
_NO_SLIPPAGE = {"slippage": 0.0}
_FREE = {"profit_is_free": True}
_TOLD: dict[str, Any] = {"settings": {**_LAST, **_NO_SLIPPAGE}, "maintenance": 0.005, "start": "2020-01-01"}
_TOLD_FREE = {**_TOLD, "settings": {**_TOLD["settings"], **_FREE}}
VARIANTS: dict[str, Variant] = {
    "as here": Variant(),
    "maintenance 0.5 %, one tier": Variant(maintenance=0.005),
    "liquidated on the last price": Variant(_LAST),
    "no slippage": Variant(_NO_SLIPPAGE),
    "from 2020-01-01": Variant(start="2020-01-01"),
    "unrealised profit may leave a position": Variant(_FREE),
    "3x above, 8x below the median": Variant(step=True),
    "side by the 30-day mean": Variant(signal=("mean", "30d")),
    "side by the 20-day return": Variant(signal=("return", "20d")),
    "all that the reference tells": Variant(**_TOLD),
    "and profit may leave": Variant(**_TOLD_FREE),
    "and side by the 30-day mean": Variant(**_TOLD_FREE, signal=("mean", "30d")),
    "and 3x above, 8x below the median": Variant(**_TOLD_FREE, signal=("mean", "30d"), step=True),
}
SIGNALS = tuple((kind, f"{days}d") for kind in ("return", "mean") for days in (7, 14, 20, 30, 50, 60, 90))
_PERCENTILE, _STEP_PERCENTILE = "volatility_percentile_30d", "volatility_percentile_90d"
_WAYS = ("long", "long/short", "long/flat")


def ablation(
    market: MarketData,
    variants: Mapping[str, Variant] = VARIANTS,
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Replay the case study's nine cells under each variant, beside the reference's figures.

    Parameters
    ----------
    market : MarketData
        One contract, with three months before each variant's ``start``, so that columns are warm by then.
    **settings
        Of the simulation, beneath each variant's own.

    Returns
    -------
    DataFrame
        First row: the reference. ``ruined_...`` of nine cells with all equity as margin; with a tenth of it, the least
        and largest ``ratio`` of the rule's Sharpe to fixed 10x's, and inverse ATR's Sharpe under daily rebalancing;
        ``held_...``: share of starts of a held 10x long liquidated within a horizon.
    """
    import pandas as pd

    rows = {"reference": _reference()}
    for name, variant in variants.items():
        if progress is not None:
            progress(name)
        rows[name] = _replayed(market, variant, settings)
    return pd.DataFrame(rows).T.rename_axis("variant")


def signal_scan(
    market: MarketData,
    signals: Sequence[tuple[str, str]] = SIGNALS,
    base: Variant | None = None,
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """How much the counts owe to the momentum window, which the reference does not tell.

    Parameters
    ----------
    base : Variant, optional
        By default all that the reference tells, with profit that may leave a position.
    """
    base = base or VARIANTS["and profit may leave"]
    variants = {f"{kind} {window}": replace(base, signal=(kind, window)) for kind, window in signals}
    found = ablation(market, variants, progress=progress, **settings)
    return found[[name for name in found.columns if not str(name).startswith("held_")]].rename_axis("signal")


def explained(found: pd.DataFrame, signals: pd.DataFrame) -> pd.DataFrame:
    """Every figure beside the reference's, and what moves it there.

    Parameters
    ----------
    found : DataFrame
        Of `ablation`: the reference, the case study as it is, then variants.
    signals : DataFrame
        Of `signal_scan`.

    Returns
    -------
    DataFrame
        Per figure: ``reference``, ``here``, the variant ``nearest`` to the reference with its value (None if none is
        nearer than the case study as it is), the range over momentum windows (``signals_low``, ``signals_high``), and
        the ``explanation``: it agrees; a variant brings it within the tolerance; the momentum, which the reference does
        not tell, spans it; it has no value, as a ratio of ruined accounts or a horizon beyond the history has none;
        or it is not found.

    Raises
    ------
    ValueError
        If ``found`` lacks its first two rows.
    """
    import pandas as pd

    if len(found) < 2:
        raise ValueError(
            f"there are rows {list(found.index)}; the first two rows are the reference and the case study as it is: "
            "give the table of ablation(market, variants) with at least one variant."
        )
    rows = {}
    for figure in found.columns:
        values: Any = found[figure].astype(float)
        other, here, variants = float(values.iloc[0]), float(values.iloc[1]), values.iloc[2:]
        distance = (variants - other).abs().dropna()
        nearer = len(distance) > 0 and not abs(here - other) <= distance.min()
        nearest: Any = distance.idxmin() if nearer else None
        told: dict[str, Any] = {"reference": other, "here": here, "nearest": nearest}
        told["there"] = here if nearest is None else float(variants[nearest])
        low, high = np.nan, np.nan
        if figure in signals.columns:
            scanned = signals[figure].iloc[1:].astype(float)
            low, high = float(scanned.min()), float(scanned.max())
        why = _why(other, here, nearest, told["there"], low, high)
        rows[figure] = {**told, "signals_low": low, "signals_high": high, "explanation": why}
    return pd.DataFrame(rows).T.rename_axis("figure")


def _why(other: float, here: float, nearest: Any, there: float, low: float, high: float) -> str:
    if abs(here - other) <= TOLERANCE:
        return "agrees"
    if abs(there - other) <= TOLERANCE:
        return f"{nearest}"
    if low <= other <= high:
        return "momentum, which the reference does not tell: other windows span it"
    if here != here and there != there:
        return "no value: ruined in every variant, or too short a history"
    return "not found"


def _reference() -> dict[str, float]:
    told: dict[str, float] = {f"ruined_{name}": float(count) for name, count in RUINED.items()}
    told |= {"ratio_least": RATIO[0], "ratio_largest": RATIO[1]}
    told |= {f"inverse_atr_{way}": x for way, x in zip(_WAYS, INVERSE_ATR, strict=True)}
    return told | {f"held_{horizon}": share for horizon, share in LIQUIDATED.items()}


def _replayed(market: MarketData, variant: Variant, settings: Mapping[str, Any]) -> dict[str, float]:
    world = market if variant.maintenance is None else with_flat_tier(market, variant.maintenance)
    given = {**settings, **variant.settings}
    table = _table(world, variant.signal)
    ruined = dict.fromkeys(RUINED, 0.0)
    ratios, told = [], {}
    for way, direction in zip(_WAYS, ("long", "signal:side", "signal:rise"), strict=True):
        for mode in REBALANCING:
            config = SimulationConfig(
                **{
                    "direction": direction,
                    "rebalance": mode,
                    "start": variant.start,
                    "max_leverage": 20.0,
                    **given,
                }
            )
            whole = _played(world, table, config.with_(margin_share=1.0), variant.step)
            for name in RUINED:
                ruined[name] += float(whole[name][1])
            tenth = _played(world, table, config.with_(margin_share=0.1), variant.step)
            ratios.append(tenth["volatility_weighted"][0] / tenth["fixed_10x"][0])
            if mode == "every_decision":
                told[f"inverse_atr_{way}"] = tenth["inverse_atr"][0]
    found = {f"ruined_{name}": count for name, count in ruined.items()}
    known = [ratio for ratio in ratios if ratio == ratio]  # NaN where either was ruined
    found |= {"ratio_least": min(known, default=np.nan), "ratio_largest": max(known, default=np.nan), **told}
    return found | _held(world, variant, given)


def _held(market: MarketData, variant: Variant, settings: Mapping[str, Any]) -> dict[str, float]:
    kept = {name: value for name, value in settings.items() if name != "max_leverage"}
    starts = Starts(market.between(variant.start, None), **kept)
    whole = [h for h in HORIZONS if starts.days.size > parse_duration(h) / np.timedelta64(1, "D")]
    times = starts.times(10.0, whole[-1])
    return {f"held_{h}": starts.probability(10.0, h, times=times, replications=1).estimate for h in whole}


def _played(
    market: MarketData, table: FeatureTable, config: SimulationConfig, step: bool
) -> dict[str, tuple[float, bool]]:
    """Sharpe ratio and ruin of every rule in one cell."""
    names = [*RUINED, "inverse_atr"]
    simulator = Simulator(market, table, config, len(names))
    simulator.reset(seed=0)
    view, _ = all_decisions(simulator)
    sizes = [_sizes(name, view, step) for name in names]
    accounts = play_sizes(simulator, np.stack(sizes))
    return {name: (float(accounts.sharpe[k]), bool(accounts.ruined[k])) for k, name in enumerate(names)}


def _sizes(name: str, view: Any, step: bool) -> np.ndarray:
    from gearing.policies.registry import make_rule

    if name == "volatility_weighted" and step:
        return np.where(view[_STEP_PERCENTILE] > 0.5, 3.0, 8.0)
    spec = {"rule": name, "column": _PERCENTILE} if name == "volatility_weighted" else name
    return make_rule(spec).predict(view, deterministic=True)[0]


def _table(market: MarketData, signal: tuple[str, str]) -> FeatureTable:
    """Columns of the rules, and the side by any momentum."""
    table = FeatureSet([_PERCENTILE, _STEP_PERCENTILE, "atr_24h"]).compute(market)
    side = momentum(market, *signal)
    table = table.join("side", side, unit="side", lower=-1.0, upper=1.0)
    return table.join("rise", np.where(np.isnan(side), np.nan, side > 0.0), unit="side", lower=0.0, upper=1.0)


def momentum(market: MarketData, kind: str, window: str) -> np.ndarray:
    """Sign of the close against its value a window ago ("return"), or against its mean over the window ("mean")."""
    if kind not in ("return", "mean"):
        raise ValueError(f"momentum is {kind!r}; it must be return or mean.")
    n, close = bars_in(window, market.bar), market.close
    base = np.full_like(close, np.nan)
    if kind == "return":
        base[n:] = close[:-n]
    else:
        total = np.cumsum(close, axis=0)
        base[n - 1 :] = (total[n - 1 :] - np.concatenate([np.zeros_like(close[:1]), total[:-n]])) / n
    return np.where(np.isnan(base), np.nan, np.where(close > base, 1.0, -1.0))


def with_flat_tier(market: MarketData, rate: float) -> MarketData:
    """The market with one maintenance rate for every size, and leverage up to the largest it allows, at most 125."""
    flat = TierSchedule.flat(rate, min(125.0, 1.0 / rate))
    contracts = tuple(replace(contract, schedules=(flat,)) for contract in market.contracts)
    return replace(market, contracts=contracts)

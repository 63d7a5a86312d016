"""Why do the case study's figures differ from an independent reference's? What moves them towards it.

The reference: 5 bp fees, real funding, maintenance 0.5 %, hourly last-price extremes, BTC, 2020-01 to 2026-05. It does
not state its momentum, its way of rebalancing, nor how it measures volatility; so those are varied, too.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, Strict

from gearing.contracts import TierSchedule
from gearing.drawing import REFERENCE, WIDTH, colour, figure_style, legend_below, new_figure
from gearing.evaluation.accounts import play_sizes
from gearing.evaluation.playing import all_decisions
from gearing.evaluation.risk.past_starts import HORIZONS, Starts
from gearing.features import FeatureSet, FeatureTable
from gearing.market.data import MarketData
from gearing.market.timing import bars_in
from gearing.policies import make_rule
from gearing.questions.conclusions import of_reference_ablation
from gearing.questions.question import Question, days_of
from gearing.questions.rule_grid.play import REBALANCING
from gearing.simulation.config import SimulationConfig
from gearing.simulation.simulator import Simulator
from gearing.studies.experiment import Findings, experiment
from gearing.studies.fields import Duration
from gearing.studies.work import Work

RUINED = {"fixed_3x": 5, "fixed_5x": 8, "fixed_10x": 9, "fixed_20x": 9, "volatility_weighted": 8}
_SHOWN = ("fixed_3x", "fixed_5x", "volatility_weighted")  # in the figure and the line
LIQUIDATED = {"1d": 0.02, "7d": 0.19, "30d": 0.49, "90d": 0.68, "365d": 0.75}
# Sharpe of the 3x/8x rule over fixed 10x's with a tenth of equity as margin, least and largest
RATIO = (0.85, 2.29)
INVERSE_ATR = (0.69, 0.76, 0.98)  # its best rule's Sharpe, taken to be long, long/short, long/flat
TOLERANCE = 0.0151  # counts must be equal; ratios and shares agree to about a hundredth
CASE_STUDY_START = "2020-01-24"  # mark prices begin on 23 December 2019, and 30 days of columns are warm then
_SIDES = {"long": "long", "long/short": "signal:side", "long/flat": "signal:rise"}
_PERCENTILE, _STEP_PERCENTILE = "volatility_percentile_30d", "volatility_percentile_90d"

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


_LAST, _NO_SLIPPAGE, _FREE = {"liquidation_series": "last"}, {"slippage": 0.0}, {"profit_is_free": True}
_STATED = Variant({**_LAST, **_NO_SLIPPAGE}, maintenance=0.005, start="2020-01-01")
_STATED_FREE = replace(_STATED, settings={**_STATED.settings, **_FREE})
_STATED_MEAN = replace(_STATED_FREE, signal=("mean", "30d"))
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
    "all that the reference states": _STATED,
    "and profit may leave": _STATED_FREE,
    "and side by the 30-day mean": _STATED_MEAN,
    "and 3x above, 8x below the median": replace(_STATED_MEAN, step=True),
}
SIGNALS = tuple((kind, f"{days}d") for kind in ("return", "mean") for days in (7, 14, 20, 30, 50, 60, 90))


class ReferenceAblation(Question):
    """Why do the case study's figures differ from an independent reference's?

    Attributes
    ----------
    market : Market
        One contract, beginning three months before 2020 for the columns.
    signals : list of (kind, window)
        Momentum definitions to try; the reference does not state its own.
    """

    kind: Literal["reference_ablation"] = "reference_ablation"
    # A pair of a file is a list, which strict reading would refuse.
    signals: list[Annotated[tuple[str, Duration], Strict(False)]] = Field(default=list(SIGNALS))


@experiment(ReferenceAblation)
def reference_ablation(config: ReferenceAblation, work: Work) -> Findings:
    """Tables: ``explained``, figure by figure; ``ablation``, by change; ``signals``, by momentum window."""
    markets = config.market.each()
    work.on(markets)
    market = next(iter(markets.values()))
    given = {"progress": work.tell, **config.exchange.settings}
    found = work.part("ablation", lambda: ablation(market, VARIANTS, **given))
    signals = work.part("signals", lambda: signal_scan(market, config.signals, **given))
    tables = {"explained": explained(found, signals), "ablation": found, "signals": signals}
    figures = {"ablation": ablation_figure(found), "signals": ablation_figure(signals)}
    can, cannot = of_reference_ablation(tables["explained"])
    return Findings(_line(found, signals), tables, figures, markets=markets, conclusions=can, limits=cannot)


def _line(found: pd.DataFrame, signals: pd.DataFrame) -> str:
    own, reference = signals.iloc[1:], found.iloc[0]
    parts = [
        f"{name} {own[column].min():g} to {own[column].max():g} ({reference[column]:g})"
        for name, column in ((name, f"ruined_{name}") for name in _SHOWN)
    ]
    return "ruined cells of nine by momentum window alone (reference): " + ", ".join(parts)


def ablation(
    market: MarketData,
    variants: Mapping[str, Variant] = VARIANTS,
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """Replay the case study's nine cells under each variant, after the reference's figures.

    Parameters
    ----------
    market : MarketData
        One contract, with three months before each variant's ``start``, so that columns are warm by then.
    **settings
        Of the simulation; each variant's own come first.

    Returns
    -------
    DataFrame
        First row: the reference. ``ruined_...`` of nine cells with all equity as margin; with a tenth of it, the least
        and largest ``ratio`` of the rule's Sharpe to fixed 10x's, and inverse ATR's Sharpe under daily rebalancing;
        ``held_...``: share of starts of a held 10x long liquidated within a horizon.
    """
    rows = {"reference": _reference()}
    for name, variant in variants.items():
        if progress is not None:
            progress(name)
        rows[name] = _replayed(market, variant, settings)
    return pd.DataFrame(rows).T.rename_axis("variant")


def signal_scan(
    market: MarketData,
    signals: Sequence[tuple[str, str]] = SIGNALS,
    base: Variant = _STATED_FREE,
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> pd.DataFrame:
    """How much the counts depend on the momentum window, which the reference does not state.

    Parameters
    ----------
    base : Variant
        By default all that the reference states, with profit that may leave a position.
    """
    variants = {f"{kind} {window}": replace(base, signal=(kind, window)) for kind, window in signals}
    found = ablation(market, variants, progress=progress, **settings)
    return found[[name for name in found.columns if not str(name).startswith("held_")]].rename_axis("signal")


def explained(found: pd.DataFrame, signals: pd.DataFrame) -> pd.DataFrame:
    """Every figure, the reference's, and what moves the one to the other.

    Parameters
    ----------
    found : DataFrame
        Of `ablation`: the reference, the case study as it is, then variants.
    signals : DataFrame
        Of `signal_scan`.

    Returns
    -------
    DataFrame
        Per figure: ``reference``, ``here``, the variant ``nearest`` to the reference with its value ``there`` (None if
        none is nearer than the case study as it is), the range over momentum windows (``signals_low``,
        ``signals_high``), and the ``explanation``: it agrees; a variant brings it within the tolerance; the momentum,
        which the reference does not state, spans it; it has no value, as a ratio of ruined accounts or a horizon
        beyond the history has none; or it is not found.

    Raises
    ------
    ValueError
        If ``found`` lacks its first two rows.
    """
    if len(found) < 2:
        raise ValueError(
            f"there are rows {list(found.index)}; the first two rows are the reference and the case study as it is: "
            "give the table of ablation(market, variants) with at least one variant."
        )
    rows = {}
    for figure in found.columns:
        scanned = signals[figure].iloc[1:].astype(float) if figure in signals.columns else pd.Series([np.nan])
        row = _nearest(found[figure].astype(float))
        row |= {"signals_low": float(scanned.min()), "signals_high": float(scanned.max())}
        rows[figure] = {**row, "explanation": _explanation(row)}
    return pd.DataFrame(rows).T.rename_axis("figure")


def _nearest(values: pd.Series) -> dict[str, Any]:
    """The reference's value, the case study's, and the variant that comes nearer."""
    reference, here, variants = float(values.iloc[0]), float(values.iloc[1]), values.iloc[2:]
    distance = (variants - reference).abs().dropna()
    nearer = len(distance) > 0 and not abs(here - reference) <= distance.min()
    nearest: Any = distance.idxmin() if nearer else None
    there = here if nearest is None else float(variants[nearest])
    return {"reference": reference, "here": here, "nearest": nearest, "there": there}


def _explanation(row: Mapping[str, Any]) -> str:
    reference, here, there = row["reference"], row["here"], row["there"]
    if abs(here - reference) <= TOLERANCE:
        return "agrees"
    if abs(there - reference) <= TOLERANCE:
        return f"{row['nearest']}"
    if row["signals_low"] <= reference <= row["signals_high"]:
        return "momentum, which the reference does not state: other windows span it"
    if here != here and there != there:
        return "no value: ruined in every variant, or too short a history"
    return "not found"


def _reference() -> dict[str, float]:
    row: dict[str, float] = {f"ruined_{name}": float(count) for name, count in RUINED.items()}
    row |= {"ratio_least": RATIO[0], "ratio_largest": RATIO[1]}
    row |= {f"inverse_atr_{side}": x for side, x in zip(_SIDES, INVERSE_ATR, strict=True)}
    return row | {f"held_{horizon}": share for horizon, share in LIQUIDATED.items()}


def _replayed(market: MarketData, variant: Variant, settings: Mapping[str, Any]) -> dict[str, float]:
    """All figures of one variant."""
    if variant.maintenance is not None:
        market = with_flat_tier(market, variant.maintenance)
    given = {**settings, **variant.settings}
    table = _table(market, variant.signal)
    row, ratios = {f"ruined_{name}": 0.0 for name in RUINED}, []
    inverse_atr = {}
    for (side, direction), mode in product(_SIDES.items(), REBALANCING):
        own = {"direction": direction, "rebalance": mode, "start": variant.start, "max_leverage": 20.0}
        config = SimulationConfig(**{**own, **given})
        whole = _played(market, table, config.with_(margin_share=1.0), variant.step)
        for name in RUINED:
            row[f"ruined_{name}"] += float(whole[name][1])
        tenth = _played(market, table, config.with_(margin_share=0.1), variant.step)
        ratios.append(tenth["volatility_weighted"][0] / tenth["fixed_10x"][0])
        if mode == "every_decision":
            inverse_atr[f"inverse_atr_{side}"] = tenth["inverse_atr"][0]
    known = [ratio for ratio in ratios if ratio == ratio]  # NaN where either was ruined
    row |= {"ratio_least": min(known, default=np.nan), "ratio_largest": max(known, default=np.nan)}
    return row | inverse_atr | _held(market, variant, given)


def _held(market: MarketData, variant: Variant, settings: Mapping[str, Any]) -> dict[str, float]:
    """Share of held 10x longs that were liquidated, by horizon."""
    given = {name: value for name, value in settings.items() if name != "max_leverage"}
    starts = Starts(market.between(variant.start, None), **given)
    whole = [h for h in HORIZONS if starts.days.size > days_of(h)]
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
    accounts = play_sizes(simulator, np.stack([_sizes(name, view, step) for name in names]))
    return {name: (float(accounts.sharpe[k]), bool(accounts.ruined[k])) for k, name in enumerate(names)}


def _sizes(name: str, view: Any, step: bool) -> np.ndarray:
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


@figure_style
def ablation_figure(found: pd.DataFrame) -> Any:
    """Ruined cells and ratio of Sharpe ratios by variant; the reference's as lines."""
    reference, variants = found.iloc[0], found.iloc[1:].astype(float)
    figure = new_figure(WIDTH, 0.36 * len(variants) + 2.2)
    left, right = figure.subplots(1, 2, sharey=True)
    at = np.arange(len(variants))
    for k, name in enumerate(_SHOWN):
        column = f"ruined_{name}"
        left.plot(variants[column], at + 0.12 * (k - 1), "o", color=colour(k), label=name)
        left.axvline(float(reference[column]) + 0.03 * (k - 1), color=colour(k), ls=":", lw=1.4)
    left.set_xlim(0, 9.3)
    left.set_title("Ruined cells of nine, all equity\nas margin (dotted: reference)")
    left.set_xlabel("cells")
    right.hlines(
        at, variants.ratio_least, variants.ratio_largest, color="0.35", lw=3, label="least to largest cell"
    )
    for name in ("ratio_least", "ratio_largest"):
        right.axvline(float(reference[name]), **REFERENCE, ls=":")
    right.set_title("Sharpe of 3x/8x over fixed 10x,\na tenth as margin")
    right.set_xlabel("ratio")
    left.set_yticks(at, list(variants.index))
    left.invert_yaxis()
    for panel in (left, right):
        panel.grid(visible=False, axis="y")
    legend_below(figure)
    return figure

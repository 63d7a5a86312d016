"""Five questions a trader asks about leverage, each an experiment: risk, funding, contagion, and the claim's reference.

The rules that move leverage, and whom they suit, are in `gearing.questions.methods`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, Strict

from gearing.evaluation.risk.safest_leverage import HORIZONS
from gearing.questions.answer_figures import ablation_figure, contagion_figure, erosion_figure, risk_figure
from gearing.questions.funding_erosion import BURDENS, heavy_months, held_positions, kept_leverage
from gearing.questions.leverage_risk import INDEX, ISOLATED, LEVERAGES, risk_of_leverage, safest_by_appetite
from gearing.questions.margin_modes import contagion, crash_books
from gearing.questions.question import Answer
from gearing.questions.reference_ablation import SIGNALS, VARIANTS, ablation, explained, signal_scan
from gearing.studies.experiment import Findings, experiment
from gearing.studies.fields import Duration
from gearing.studies.work import Work

if TYPE_CHECKING:
    import pandas as pd

    from gearing.market import MarketData

Leverages = Annotated[list[float], Field(min_length=1)]


class LeverageRisk(Answer):
    """How much leverage for which appetite for risk?

    Attributes
    ----------
    leverages : list of float
        Leverage settings looked at.
    horizons : list of duration
    drawdown : float
        Part of the equity whose loss is the second event.
    initial_equity : float
        Small, so that tiers cut few positions.
    """

    kind: Literal["leverage_risk"] = "leverage_risk"
    leverages: Leverages = Field(default_factory=lambda: list(LEVERAGES))
    horizons: list[Duration] = Field(default_factory=lambda: list(HORIZONS))
    drawdown: float = Field(default=0.5, gt=0.0, lt=1.0)
    initial_equity: float = Field(default=5_000.0, gt=0.0)


@experiment(LeverageRisk)
def leverage_risk(config: LeverageRisk, work: Work) -> Findings:
    """Tables: ``safest``, by appetite; ``risk``, every probability with its interval."""
    import pandas as pd

    markets = config.markets()
    work.on(markets)

    def looked(symbol: str) -> pd.DataFrame:
        return risk_of_leverage(
            {symbol: markets[symbol]}, leverages=config.leverages, horizons=config.horizons,
            drawdown=config.drawdown, initial_equity=config.initial_equity, progress=work.tell,
            **config.chance, **config.simulation(),
        )  # fmt: skip

    risk = pd.concat([work.part(symbol, partial(looked, symbol)) for symbol in markets])
    tables = {"safest": safest_by_appetite(risk), "risk": risk}
    figures = {"risk": risk_figure(risk)}
    return Findings(_risk_line(config, risk), tables, figures, _metrics(risk.probability), markets)


def _risk_line(config: LeverageRisk, risk: Any) -> str:
    horizon = "30d" if "30d" in config.horizons else config.horizons[-1]
    levels = [name for name in INDEX if name != "leverage"]
    parts = []
    for contract in dict.fromkeys(risk.index.get_level_values("contract")):
        rows = risk.xs((contract, "liquidation", ISOLATED, "long", horizon), level=levels)
        told = [f"{x:g}x {_share(rows.loc[x])}" for x in (3.0, 5.0, 10.0) if x in rows.index]
        parts.append(f"{contract}: {', '.join(told)}")
    return f"a long held for {horizon} is liquidated in this share of starts: " + "; ".join(parts)


class FundingErosion(Answer):
    """What does funding take from a leveraged position?

    Attributes
    ----------
    leverages : list of float
    horizons : list of duration
        For how long positions are held.
    burdens : list of float
        Parts of the margin that a month of funding is compared with.
    """

    kind: Literal["funding_erosion"] = "funding_erosion"
    leverages: Leverages = Field(default_factory=lambda: [1.0, 3.0, 5.0, 10.0, 20.0])
    horizons: list[Duration] = Field(default_factory=lambda: ["30d", "90d"])
    burdens: list[float] = Field(default_factory=lambda: list(BURDENS))


@experiment(FundingErosion)
def funding_erosion(config: FundingErosion, work: Work) -> Findings:
    """Tables: ``overall``, held positions of all years; ``held`` by year; ``kept``, leverage kept daily; ``months``."""
    import pandas as pd

    markets, settings = config.markets(), config.simulation()
    work.on(markets)

    def held(market: MarketData) -> pd.DataFrame:
        parts = {
            h: held_positions(market, config.leverages, horizon=h, **config.chance, **settings)
            for h in config.horizons
        }
        return pd.concat(parts, names=["horizon"])

    def kept_daily(market: MarketData) -> pd.DataFrame:
        return kept_leverage(market, config.leverages, **settings)

    def by_month(market: MarketData) -> pd.DataFrame:
        return heavy_months(market, config.leverages, burdens=config.burdens, **config.chance)

    def stacked(name: str, make: Callable[[MarketData], pd.DataFrame]) -> pd.DataFrame:
        parts = {s: work.part(f"{name}-{s}", partial(make, m)) for s, m in markets.items()}
        return pd.concat(parts, names=["contract"])

    rows = stacked("held", held)
    kept = stacked("kept", kept_daily)
    months = stacked("months", by_month)
    overall: Any = rows.xs("all", level="year")
    first = next(iter(markets))
    horizon = config.horizons[0]
    years: Any = rows.loc[(first, horizon)]
    burdens: Any = months.loc[first]
    figure = erosion_figure(years, burdens, f"{first}: positions held for {horizon}")
    tables = {"overall": overall, "held": rows, "kept": kept, "months": months}
    return Findings(_erosion_line(overall), tables, {"erosion": figure}, _metrics(overall.effect), markets)


def _erosion_line(overall: pd.DataFrame) -> str:
    parts = [
        f"{row['contract']} {row['leverage']:g}x long for {row['horizon']}: {row['effect']:+.1%} "
        f"[{row['effect_low']:+.1%}, {row['effect_high']:+.1%}] of the margin; {row['caused']:.1%} "
        f"[{row['caused_low']:.1%}, {row['caused_high']:.1%}] of liquidations would not have come without"
        for row in overall.reset_index().to_dict("records")
        if row["direction"] == "long" and row["leverage"] == 10.0
    ]
    return "funding: " + "; ".join(parts)


class MarginModes(Answer):
    """Cross or isolated margin for several contracts?

    Attributes
    ----------
    leverages : list of float
        Of every position; each contract has an equal part of the equity.
    horizons : list of duration
    """

    kind: Literal["margin_modes"] = "margin_modes"
    leverages: Leverages = Field(default_factory=lambda: [2.0, 3.0, 5.0, 10.0])
    horizons: list[Duration] = Field(default_factory=lambda: ["30d"])


@experiment(MarginModes)
def margin_modes(config: MarginModes, work: Work) -> Findings:
    """Tables: ``modes``, cross beside isolated over all starts; ``crashes``, the same books through known crashes."""
    import pandas as pd

    market = config.market.open()
    work.on({"market": market})

    def compared(horizon: str) -> pd.DataFrame:
        return contagion(market, config.leverages, horizon=horizon, **config.chance, **config.simulation())

    parts = {h: work.part(f"modes-{h}", partial(compared, h)) for h in config.horizons}
    rows = pd.concat(parts, names=["horizon"])
    crashes = work.part("crashes", lambda: crash_books(market, config.leverages, **config.simulation()))
    told: Any = rows.loc[config.horizons[0]]
    tables = {"modes": rows, "crashes": crashes}
    figures = {"modes": contagion_figure(told)}
    metrics = _metrics(told.xs("cross", level="mode").taken)
    return Findings(_modes_line(config, told), tables, figures, metrics, {market.name: market})


def _part(row: Any, name: str) -> str:
    """A share with its interval; "none" of nothing."""
    return (
        f"{row[name]:.0%} [{row[f'{name}_low']:.0%}, {row[f'{name}_high']:.0%}]"
        if row[name] == row[name]
        else "none"
    )


def _modes_line(config: MarginModes, told: pd.DataFrame) -> str:
    middle = config.leverages[len(config.leverages) // 2]
    parts = [
        f"{row['book']} at {middle:g}x: {_part(row, 'taken')} of cross liquidations hit a position that isolated "
        f"margin would have kept, {_part(row, 'rescued')} of isolated ones were avoided, mean end equity "
        f"{row['gain']:+.3f} [{row['gain_low']:+.3f}, {row['gain_high']:+.3f}]"
        for row in told.reset_index().to_dict("records")
        if row["mode"] == "cross" and row["leverage"] == middle
    ]
    return f"cross against isolated, {config.horizons[0]}: " + "; ".join(parts)


class ReferenceAblation(Answer):
    """Why do the case study's figures differ from an independent reference's?

    Attributes
    ----------
    market : Market
        One contract, beginning three months before 2020 for the columns.
    signals : list of (kind, window)
        Momentum definitions to go through; the reference does not tell its own.
    """

    kind: Literal["reference_ablation"] = "reference_ablation"
    # A pair of a file is a list, which strict reading would refuse.
    signals: list[Annotated[tuple[str, Duration], Strict(False)]] = Field(
        default_factory=lambda: list(SIGNALS)
    )


@experiment(ReferenceAblation)
def reference_ablation(config: ReferenceAblation, work: Work) -> Findings:
    """Tables: ``explained``, figure by figure; ``ablation``, by change; ``signals``, by momentum window."""
    markets = config.markets()
    work.on(markets)
    market = next(iter(markets.values()))
    settings = config.simulation()
    found = work.part("ablation", lambda: ablation(market, VARIANTS, progress=work.tell, **settings))
    signals = work.part(
        "signals", lambda: signal_scan(market, config.signals, progress=work.tell, **settings)
    )
    tables = {"explained": explained(found, signals), "ablation": found, "signals": signals}
    figures = {"ablation": ablation_figure(found), "signals": ablation_figure(signals)}
    return Findings(_reference_line(found, signals), tables, figures, markets=markets)


def _reference_line(found: pd.DataFrame, signals: pd.DataFrame) -> str:
    own, other = signals.iloc[1:], found.iloc[0]
    parts = [
        f"{name} {own[f'ruined_{name}'].min():g} to {own[f'ruined_{name}'].max():g} ({other[f'ruined_{name}']:g})"
        for name in ("fixed_3x", "fixed_5x", "volatility_weighted")
    ]
    return "ruined cells of nine by momentum window alone (reference): " + ", ".join(parts)


def _metrics(values: pd.Series) -> dict[str, float]:
    """A column as metrics of a tracked run, named by its index."""
    keys: Any = values.index
    named = {
        ".".join(str(part) for part in key): float(x) for key, x in zip(keys, values.to_numpy(), strict=True)
    }
    kept = {"".join(c if c.isalnum() or c in "_-. /" else "_" for c in name): x for name, x in named.items()}
    return {name: x for name, x in kept.items() if x == x}


def _share(row: Any) -> str:
    return f"{row.probability:.1%} [{row.low:.1%}, {row.high:.1%}]"

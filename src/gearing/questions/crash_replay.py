"""Who is liquidated when, and at which leverage, in crashes that happened: 12 and 13 March 2020, 19 May 2021."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from gearing.evaluation.playing import Records, play
from gearing.features import FeatureSet
from gearing.market.data import MarketData
from gearing.questions.conclusions import of_crash_replay
from gearing.questions.question import Question
from gearing.simulation import SimulationConfig, Simulator
from gearing.studies.experiment import Findings, experiment
from gearing.studies.work import Work

CRASHES = {"2020-03-12": ("2020-03-12", "2020-03-14"), "2021-05-19": ("2021-05-19", "2021-05-20")}
LEVERAGES = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
_WARM_UP = np.timedelta64(2, "D")


class CrashReplay(Question):
    """Who is liquidated when, in crashes that happened?

    Attributes
    ----------
    market : Market
        History that holds the crashes; its contracts are replayed one by one.
    leverages : list of float
        Those that a contract's brackets do not allow are left out.
    """

    kind: Literal["crash_replay"] = "crash_replay"
    leverages: list[float] = Field(default=list(LEVERAGES), min_length=1)

    @model_validator(mode="after")
    def _is_history(self) -> CrashReplay:
        if not self.market.is_history:
            raise ValueError("crashes are replayed on history; name its folder in market.folder.")
        return self

    def crash(self, contract: str, name: str) -> MarketData:
        """A contract from two days before a crash to its end."""
        start, end = CRASHES[name]
        span = {"from_": str(np.datetime64(start) - _WARM_UP), "to": end}
        return self.market.model_copy(update={"contracts": [contract], **span}).open()


@experiment(CrashReplay)
def crash_replay(config: CrashReplay, work: Work) -> Findings:
    """Table ``replays``: when and where each leverage was liquidated, on the mark and on the last price."""
    places = [(crash, contract) for crash in CRASHES for contract in config.market.symbols]
    markets = {f"{contract} {crash}": config.crash(contract, crash) for crash, contract in places}
    work.on(markets)
    settings = config.exchange.settings

    def replays() -> pd.DataFrame:
        parts = {
            (*place, series): replay(market, CRASHES[place[0]][0], config.leverages, series, **settings)
            for place, market in zip(places, markets.values(), strict=True)
            for series in ("mark", "last")
        }
        return pd.concat(parts, names=["crash", "contract", "series"])

    found = work.part("replays", replays)
    can, cannot = of_crash_replay(found)
    return Findings(_line(found), {"replays": found}, markets=markets, conclusions=can, limits=cannot)


def _line(found: pd.DataFrame) -> str:
    rows: Any = found.xs("mark", level="series")
    first = (
        rows[rows.liquidated.notna()].reset_index().groupby(["crash", "contract"], sort=False).leverage.min()
    )
    parts = [
        f"{crash}: " + ", ".join(f"{contract} {x:g}x" for contract, x in part.droplevel("crash").items())
        for crash, part in first.groupby(level="crash", sort=False)
    ]
    return "smallest leverage of a long that was liquidated on the mark price: " + "; ".join(parts)


def replay(
    market: MarketData, start: str, leverages: Sequence[float], series: str, **settings: Any
) -> pd.DataFrame:
    """Longs opened at ``start``, one account per leverage, held without rebalancing to the end of the market.

    Parameters
    ----------
    market : MarketData
        One contract, beginning some bars before ``start``.
    leverages : sequence of float
        Those that the contract does not allow are left out.
    series : {"mark", "last"}
        Which price liquidates.

    Returns
    -------
    DataFrame
        Indexed by leverage: time and price of the liquidation (NaT and NaN if it survived), ``lowest`` price of the
        series, equity left, and whether the order was ``capped``.
    """
    leverages = [x for x in leverages if x <= market.contracts[0].top_leverage]
    own = {
        "direction": "long", "max_leverage": max(leverages), "decision_interval": "1h", "rebalance": "never",
        "start": start, "liquidation_series": series, "ruin_fraction": 0.0,
    }  # fmt: skip
    table = FeatureSet(["log_return"]).compute(market)
    simulator = Simulator(market, table, SimulationConfig(**{**settings, **own}), n_accounts=len(leverages))
    simulator.reset(seed=0)
    opened = simulator.time[0]
    targets = np.full((len(leverages), simulator.n_decisions, 1), np.nan)
    targets[:, 0, 0] = leverages
    held = Records(steps=False, ledgers=True)
    play(simulator, targets, held)
    ledgers: Any = held.ledgers
    hit = ledgers.liquidations[:, :, 0] > 0
    liquidated, first = hit.any(axis=1), hit.argmax(axis=1)
    price = ledgers.execution_price[np.arange(len(leverages)), first, 0]
    prices = market.mark if series == "mark" else market.last
    found = {
        "liquidated": np.where(liquidated, opened + first * np.timedelta64(1, "h"), np.datetime64("NaT")),
        "price": np.where(liquidated, price, np.nan),
        "lowest": prices[market.open_time >= np.datetime64(start, "ms"), 0, 2].min(),
        "equity": simulator.accounts.equity.astype(float),
        "capped": ledgers.capped[:, 0, 0] > 0,
    }
    return pd.DataFrame(found, index=pd.Index(leverages, name="leverage"))

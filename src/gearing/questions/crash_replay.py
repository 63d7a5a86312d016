"""Who is liquidated when, and at which leverage, in crashes that happened: 12 and 13 March 2020, 19 May 2021.

python -m gearing.questions.crash_replay docs/crash-replays.md      # needs GEARING_DATA
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.features import FeatureSet
from gearing.market.data import MarketData
from gearing.market.history.load import load_market
from gearing.simulation import SimulationConfig, Simulator

CRASHES = {
    "2020-03-12": ("2020-03-12", "2020-03-14"),
    "2021-05-19": ("2021-05-19", "2021-05-20"),
}
SYMBOLS = ("BTCUSDT", "ETHUSDT", "ADAUSDT")
LEVERAGES = (1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
_HOUR = np.timedelta64(1, "h")


def replay(market: MarketData, start: str, leverages: tuple[float, ...], series: str) -> pd.DataFrame:
    """Longs opened at ``start``, one account per leverage, held without rebalancing to the end of the market.

    Parameters
    ----------
    market : MarketData
        One contract, beginning some bars before ``start``.
    series : {"mark", "last"}
        Which price liquidates.

    Returns
    -------
    DataFrame with one row per leverage: time and price of its liquidation (NaT and NaN if it survived), equity left.
    """
    config = SimulationConfig(
        direction="long", max_leverage=max(leverages), decision_interval="1h", rebalance="never", start=start,
        liquidation_series=series, ruin_fraction=0.0,
    )  # fmt: skip
    table = FeatureSet(["log_return"]).compute(market)
    simulation = Simulator(market, table, config, n_accounts=len(leverages))
    simulation.reset(seed=0)
    opened, count = simulation.time[0], simulation.n_decisions
    targets = np.full((len(leverages), count, 1), np.nan)
    targets[:, 0, 0] = leverages
    _, ledgers = simulation.run(targets, record_ledgers=True)
    rows = []
    for i, leverage in enumerate(leverages):
        hit = np.flatnonzero(ledgers.liquidations[i, :, 0])
        first = int(hit[0]) if hit.size else None
        rows.append(
            {
                "leverage": leverage,
                "liquidated": pd.NaT if first is None else pd.Timestamp(opened + first * _HOUR),
                "price": np.nan if first is None else float(ledgers.execution_price[i, first, 0]),
                "lowest": float(_lowest(market, start, series)),
                "equity": float(simulation.accounts.equity[i]),
                "capped": bool(ledgers.capped[i, 0, 0]),
            }
        )
    return pd.DataFrame(rows)


def _lowest(market: MarketData, start: str, series: str) -> float:
    prices = market.mark if series == "mark" else market.last
    return prices[market.open_time >= np.datetime64(start, "ms"), 0, 2].min()


def replay_crashes(folder: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """All crashes, contracts, series and leverages; ``folder`` as in :func:`gearing.load_market`."""
    found = []
    for crash, (start, end) in CRASHES.items():
        before = (pd.Timestamp(start) - pd.Timedelta("2D")).strftime("%Y-%m-%d")
        for symbol in SYMBOLS:
            market = load_market(folder, symbol, "1h", start=before, end=end, missing_tiers="earliest")
            top = market.contracts[0].top_leverage
            held = tuple(x for x in LEVERAGES if x <= top)
            for series in ("mark", "last"):
                part = replay(market, start, held, series)
                found.append(part.assign(crash=crash, contract=symbol, series=series))
    return pd.concat(found, ignore_index=True)


def as_markdown(table: pd.DataFrame) -> str:
    """The table of the docs: one row per crash, contract and leverage, mark and last side by side."""
    lines = [
        "# Crash replays",
        "",
        "Longs of 10,000 USDT, isolated with everything posted, opened at 00:00 UTC of the crash's first day and",
        "held to its end (14 March 2020, 20 May 2021, 00:00), taker fee 0.05 %, slippage 0.02 %, bankruptcy",
        "settlement. Hourly bars of Binance USDT-M perpetuals; the adverse extreme of the hour decides. Times are",
        "the open of that hour.",
        "",
        "**Later-dated in it:** the brackets. The earliest stored copy is of 2022-02-12, used here for want of an",
        "older one, and fees are those of the shipped profile. Prices, marks and funding are of the day. An asterisk",
        "marks an order that the bracket cut to the largest notional it allows at that leverage; it is liquidated",
        "later than the leverage suggests.",
        "",
        "Made by `python -m gearing.questions.crash_replay docs/crash-replays.md`.",
    ]
    for (crash, contract), part in table.groupby(["crash", "contract"], sort=False):
        wide = {name: rows.set_index("leverage") for name, rows in part.groupby("series")}
        low = {name: rows["lowest"].iloc[0] for name, rows in wide.items()}
        lines += [
            "",
            f"## {contract}, {crash}",
            "",
            f"Lowest mark {low['mark']:,.6g}, lowest last {low['last']:,.6g}.",
            "",
            "| leverage | by mark | at | by last | at | equity left (mark) |",
            "|---:|---|---:|---|---:|---:|",
        ]
        for leverage, row in wide["mark"].iterrows():
            other: Any = wide["last"].loc[leverage]
            star = "*" if row["capped"] else ""
            lines.append(
                f"| {leverage:g}{star} | {_when(row)} | {_price(row)} | {_when(other)} | {_price(other)} "
                f"| {row['equity']:,.0f} |"
            )
    return "\n".join(lines) + "\n"


def _when(row: pd.Series) -> str:
    return "survives" if pd.isna(row["liquidated"]) else f"{row['liquidated']:%d %b %H:%M}"


def _price(row: pd.Series) -> str:
    return "" if pd.isna(row["price"]) else f"{row['price']:,.6g}"


if __name__ == "__main__":
    text = as_markdown(replay_crashes())
    if len(sys.argv) > 1:
        Path(sys.argv[1]).parent.mkdir(parents=True, exist_ok=True)
        Path(sys.argv[1]).write_text(text)
    else:
        sys.stdout.write(text)

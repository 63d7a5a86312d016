"""The inputs of one decision that are written with a bundle, so that it can be tried at once."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gearing.export import load_bundle
from gearing.export.deciding.decision import Decision
from gearing.export.reading.moment import LAST_BAR
from gearing.features import FeatureTable
from gearing.market.data import MarketData
from gearing.storage.atomic import write_text
from gearing.studies.study.exporting.places import BUNDLE, inputs_of

INPUT_FILES = ("bars.csv", "funding.csv", "account.json", "now.txt")
_PRICES = ("open", "high", "low", "close")


def write_inputs(market: MarketData, table: FeatureTable, bundle: Path, folder: Path, equity: float) -> None:
    """Write the last bars and settlements of a market, a flat account and the moment of its last close.

    Parameters
    ----------
    table : FeatureTable
        Has the columns that the bundle reads with the bars (its signals).
    """
    about = load_bundle(bundle)
    folder.mkdir(exist_ok=True)
    count = min(about.lookback_bars + int(np.timedelta64(1, "D") // market.bar), market.n_bars)
    recent = market.between(market.open_time[-count])
    bars = bars_table(recent)
    for name in about.manifest.signals:
        bars[name] = table.column(name)[-count:].T.ravel()
    for name, rows in (("bars.csv", bars), ("funding.csv", funding_table(recent))):
        write_text(folder / name, rows.to_csv(index=False, lineterminator="\n"))
    write_text(folder / "now.txt", f"{recent.close_time[-1]}\n")
    account = {"wallet_balance": equity, "positions": {}}
    write_text(folder / "account.json", json.dumps(account, indent=1) + "\n")


def bars_table(market: MarketData) -> pd.DataFrame:
    """Bars as ``Bundle.decide`` reads them."""
    parts = []
    for j, symbol in enumerate(market.symbols):
        columns: dict[str, Any] = {"open_time": market.open_time, "contract": symbol}
        for k, price in enumerate(_PRICES):
            columns[price] = market.last[:, j, k]
            columns[f"mark_{price}"] = market.mark[:, j, k]
        columns["volume"] = market.volume[:, j]
        for name in ("implied_volatility", "predicted_rate"):
            if getattr(market, name) is not None:
                columns[name] = getattr(market, name)[:, j]
        if market.index is not None:
            index = market.index if market.index.ndim == 3 else np.repeat(market.index[..., None], 4, axis=2)
            columns |= {f"index_{price}": index[:, j, k] for k, price in enumerate(_PRICES)}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def funding_table(market: MarketData) -> pd.DataFrame:
    """Settlements as ``Bundle.decide`` reads them."""
    names = np.array(market.symbols)
    cash = market.settlements
    return pd.DataFrame({"time": cash["time"], "rate": cash["rate"], "contract": names[cash["contract"]]})


def example_decision(folder: Path, bundle: Path | None = None) -> Decision:
    """What a study's bundle decides on the last bars of the study's market, with an empty account."""
    bundle = bundle or folder / BUNDLE
    inputs = inputs_of(bundle)
    return load_bundle(bundle).decide(
        inputs / "bars.csv",
        inputs / "account.json",
        inputs / "funding.csv",
        now=LAST_BAR,
        fallback="hold",
    )

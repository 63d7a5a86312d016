"""Write bars and settlements into the folder layout, atomically."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gearing.market.data import MarketData
from gearing.market.history import layout
from gearing.market.history.merging import with_stored_bars, with_stored_funding
from gearing.market.history.series import Bars, settlement_rows
from gearing.storage.atomic import write_atomically

STAMP = pa.timestamp("ms", "UTC")


def write_bars(path: Path, bars: Bars, source: str) -> None:
    """Write bars as open_time, open, high, low, close, volume (where there is one) and source."""
    columns = {"open_time": pa.array(bars.open_time, pa.timestamp("ms")).cast(STAMP)}
    columns |= {name: bars.prices[:, k] for k, name in enumerate(layout.PRICES)}
    if bars.volume is not None:
        columns["volume"] = bars.volume
    _write(path, columns, source, bars.open_time.size)


def write_funding(path: Path, rows: np.ndarray, source: str) -> None:
    """Write settlements (time, rate, mark where it is known) of ``FUNDING_DTYPE``."""
    columns = {"time": pa.array(rows["time"], pa.timestamp("ms")).cast(STAMP), "rate": rows["rate"]}
    if not np.isnan(rows["mark"]).all():
        columns["mark"] = rows["mark"]
    _write(path, columns, source, rows.size)


def joined_bars(parts: Sequence[Bars], path: Path) -> Bars:
    """Bars of all parts and of the file, if it exists, in order of time; the first part wins where stamps repeat."""
    volumes = all(part.volume is not None for part in parts)
    parts = [*parts, *([layout.read_bars(path, volume=volumes)] if path.is_file() else [])]
    time, first = np.unique(np.concatenate([p.open_time for p in parts]), return_index=True)
    prices = np.concatenate([p.prices for p in parts])[first]
    volume = [p.volume for p in parts if p.volume is not None]
    whole = np.concatenate(volume)[first] if len(volume) == len(parts) else None
    return Bars(time, prices, whole, parts[0].where)


def joined_funding(parts: Sequence[np.ndarray], path: Path) -> np.ndarray:
    """Settlements of all parts and of the file, if it exists, joined in the same way."""
    joined = np.concatenate([*parts, *([layout.read_funding(path)] if path.is_file() else [])])
    return joined[np.unique(joined["time"], return_index=True)[1]]


def write_market(
    market: MarketData,
    folder: str | Path,
    venue: str = "binance-um",
    source: str = "",
    replace: bool = False,
) -> None:
    """Add every contract of a market to the layout, so that ``load_market`` reads it back.

    Raises
    ------
    ValueError
        If the folder holds other values for the same moments; ``replace`` takes the market's. Nothing is written then.
    """
    folder = Path(folder)
    bars: dict[Path, Bars] = {}
    rates: dict[Path, np.ndarray] = {}
    for k, symbol in enumerate(market.symbols):
        live = market.tradable[:, k]
        home = layout.contract_folder(folder, venue, symbol)
        for kind, prices in (("last", market.last), ("mark", market.mark), ("index", market.index)):
            if prices is not None:
                volume = market.volume[live, k] if kind == "last" else None
                ours = Bars(
                    market.open_time[live], prices[live, k], volume, f"the market's {kind} of {symbol}"
                )
                path = layout.bar_file(home, kind, market.bar)
                bars[path] = with_stored_bars(path, ours, replace, volume=kind == "last")
        rows = market.settlements[market.settlements["contract"] == k]
        funding = settlement_rows(rows["time"], rows["rate"], rows["mark"], symbol)
        path = home / "funding.parquet"
        rates[path] = with_stored_funding(path, funding, f"the market's funding of {symbol}", replace)
    origin = source or market.name or "gearing"
    for path, joined in bars.items():
        write_bars(path, joined, origin)
    for path, settled in rates.items():
        write_funding(path, settled, origin)


def _write(path: Path, columns: dict[str, object], source: str, size: int) -> None:
    origin = pa.DictionaryArray.from_arrays(np.zeros(size, np.int8), [source])
    table = pa.table({**columns, "source": origin})
    write_atomically(path, lambda part: pq.write_table(table, part, compression="zstd"))

"""The markets that a folder of results was made of: settings name files, and files change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gearing.storage.atomic import write_json

if TYPE_CHECKING:
    from gearing.market import MarketData

SEAL = "markets.json"


def seal(folder: Path, markets: Mapping[str, MarketData]) -> None:
    """Note the fingerprints of an experiment's markets beside its parts, or compare with those noted.

    Parameters
    ----------
    folder : Path
        Of the results.
    markets : mapping of name to MarketData

    Raises
    ------
    ValueError
        If parts in the folder were made of other values: the files changed, or there are more of them now.
    """
    now = {name: market.fingerprint for name, market in markets.items()}
    kept = folder / SEAL
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    changed = [name for name in now if before.get(name, now[name]) != now[name]]
    if changed:
        raise ValueError(
            f"{', '.join(changed)}: the market's values are not those that {folder} was made of, though the settings "
            "are. Remove that folder, give another `output`, or fix `market.start` and `market.end`."
        )
    write_json(kept, {**before, **now})

"""Contracts, tiers and settings of a bundle as the exchange's functions take them, made once."""

from __future__ import annotations

from typing import Any

import numpy as np

from gearing.exchange.loose import Loose, blank, loosened
from gearing.exchange.records import position_dtype, row_dtype
from gearing.export.account.quotes import Quotes
from gearing.export.bundle.manifest import Manifest
from gearing.simulation.kernel_records import config_record, contract_records


class Terms:
    """What does not change from decision to decision.

    Attributes
    ----------
    manifest : Manifest
    contracts : (n_contracts,) records of ``contract_dtype``
    shares : (n_contracts,) float64
        Margin share of each contract.
    rules : record of ``config_dtype``
    """

    def __init__(self, manifest: Manifest):
        self.manifest = manifest
        made = contract_records(manifest.contracts, manifest.venue, manifest.config)
        self.contracts, self.shares = loosened(made), np.array(made.margin_share)
        self.rules = loosened(config_record(manifest.config, manifest.venue, manifest.contracts))[0]
        self._tiers: dict[tuple[int, ...], tuple[Any, list[tuple[int, int]]]] = {}
        self._row = blank(row_dtype)
        self._position = blank(position_dtype)
        for name in ("stop", "take_profit", "trailing"):
            self._position[name] = float("nan")

    def flat_positions(self, quotes: Quotes) -> Any:
        """Positions (1, n_contracts) of a flat account."""
        made = np.empty((1, quotes.mark.size), object)
        for j, mark in enumerate(quotes.mark.tolist()):
            made[0, j] = Loose(**(vars(self._position) | {"mark": mark}))
        return made

    def last_rows(self, quotes: Quotes) -> tuple[Any, Any]:
        """The deciding close of every contract as one row (1, n_contracts), and the tiers in force.

        Orders fill at its close.
        """
        tiers, ranges = self._tiers_at(quotes.time)
        slippage, rows = self.manifest.config.slippage, np.empty((1, quotes.last.size), object)
        for j, (last, mark, spread) in enumerate(
            zip(quotes.last.tolist(), quotes.mark.tolist(), quotes.spread.tolist(), strict=True)
        ):
            row: Any = Loose(**vars(self._row))
            for name in ("open", "high", "low", "close"):
                row[name], row[f"mark_{name}"] = last, mark
            row.slippage = slippage.constant + slippage.range_share * spread
            row.tiers_first, row.tiers_last = ranges[j]
            row.tradable = 1
            row.next_row = row.exit_row = -1
            rows[0, j] = row
        return rows, tiers

    def _tiers_at(self, time: np.datetime64) -> tuple[Any, list[tuple[int, int]]]:
        """Tiers of all contracts in one array, and the range of each; schedules are dated."""
        schedules = [  # the newest where the moment is not known
            contract.schedules[-1] if np.isnat(time) else contract.schedule_at(time)
            for contract in self.manifest.contracts
        ]
        key = tuple(map(id, schedules))
        if key not in self._tiers:
            flat, ranges = list[Loose](), list[tuple[int, int]]()
            for schedule in schedules:
                ranges.append((len(flat), len(flat) + len(schedule.tiers)))
                flat += [Loose(**vars(tier)) for tier in schedule.tiers]
            tiers = np.empty(len(flat), object)
            tiers[:] = flat
            self._tiers[key] = tiers, ranges
        return self._tiers[key]

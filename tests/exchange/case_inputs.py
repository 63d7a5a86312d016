"""What the inputs of a conformance case mean, in the numbers that the rules take."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gearing.exchange.records import margin_tier_dtype, records
from gearing.exchange.rules import round_price, tier_index

HERE = Path(__file__).resolve().parents[1] / "conformance"
UNBOUNDED = 1e300


class NotCoveredError(Exception):
    """The runner does not know the rule, or the inputs lack what the rule needs: skipped, never passed."""


def case_folders() -> list[Path]:
    """Folders named by GEARING_CONFORMANCE, or the copy of the public cases."""
    given = [Path(part) for part in os.environ.get("GEARING_CONFORMANCE", "").split(":") if part]
    return given or [HERE]


def load_cases(folders: list[Path]) -> list[dict[str, Any]]:
    """All cases of all case files; files of another kind (margin brackets) are passed over."""
    cases = []
    for folder in folders:
        files = sorted(folder.glob("*.json"))
        if not files:
            raise FileNotFoundError(f"GEARING_CONFORMANCE names {folder}, which holds no case file (*.json).")
        for file in files:
            content = json.loads(file.read_text())
            for case in content.get("cases", []) if isinstance(content, dict) else []:
                cases.append({**case, "file": file.name})
    return cases


def number(value: Any) -> float:
    """A decimal text as a float."""
    return float(value)


def side_of(text: str) -> float:
    """+1 for a long or a buy, -1 for a short or a sell."""
    sides = {"long": 1.0, "buy": 1.0, "short": -1.0, "sell": -1.0}
    if text not in sides:
        raise NotCoveredError(f"side {text!r}")
    return sides[text]


def tier_records(tiers: list[dict[str, Any]] | None, rate: Any = None, amount: Any = 0) -> np.recarray:
    """Margin tiers as the kernel reads them; a single tier without bounds holds any notional."""
    if not tiers:
        if rate is None:
            raise NotCoveredError("no margin tiers in the inputs")
        tiers = [{"mmr": rate, "cum": amount}]
    table = records(len(tiers), margin_tier_dtype)
    for k, tier in enumerate(tiers):
        cap = tier.get("cap")
        table[k] = (
            number(tier.get("floor") or 0),
            UNBOUNDED if cap is None else number(cap),
            number(tier["mmr"]),
            number(tier.get("cum") or 0),
            number(tier.get("max_leverage") or math.inf),
        )
    return table[np.argsort(table.floor, kind="stable")]


@dataclass
class Inputs:
    """Inputs of one case by name, as floats where they are numbers."""

    case: dict[str, Any]
    raw: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.raw = self.case["inputs"]

    def __getattr__(self, name: str) -> float:
        if name not in self.raw:
            raise NotCoveredError(f"rule {self.case['rule']} without the input {name!r}")
        return number(self.raw[name])

    def get(self, *names: str, default: float | None = None) -> float:
        """The first of several names that the case gives."""
        for name in names:
            if self.raw.get(name) is not None:
                return number(self.raw[name])
        if default is None:
            raise NotCoveredError(f"rule {self.case['rule']} without any of the inputs {', '.join(names)}")
        return default

    def has(self, name: str) -> bool:
        return self.raw.get(name) is not None

    @property
    def inverse(self) -> bool:
        return self.case["contract"]["kind"] == "inverse"

    @property
    def multiplier(self) -> float:
        return number(self.case["contract"].get("multiplier") or 1)

    @property
    def side(self) -> float:
        return side_of(self.raw.get("side", "long"))

    @property
    def size(self) -> float:
        """Base coins (linear) or quote (inverse): contracts times multiplier."""
        return number(self.raw["qty"]) * self.multiplier

    @property
    def quantity(self) -> float:
        return self.side * self.size

    @property
    def tiers(self) -> np.recarray:
        return tier_records(
            self.raw.get("tiers"), self.raw.get("mmr", self.raw.get("rate")), self.raw.get("cum", 0)
        )

    @property
    def rate_at_entry(self) -> float:
        """Maintenance rate of the tier that the notional at entry falls into."""
        tiers = self.tiers
        value = self.size / self.entry if self.inverse else self.size * self.entry
        return float(tiers[tier_index(value, tiers)].rate)

    @property
    def margin(self) -> float:
        """Initial margin q E / L, or Q / (E L)."""
        value = self.size / self.entry if self.inverse else self.size * self.entry
        return value / self.leverage

    @property
    def wallet(self) -> float:
        """What backs the position; isolated without a wallet: its initial margin, and what was added by hand."""
        if self.has("wallet"):
            return number(self.raw["wallet"]) + self.get("extra_margin", default=0.0)
        return self.margin + self.get("extra_margin", default=0.0)

    def rounded(self, price: float) -> float:
        """A price on the contract's tick, towards the entry, where the case gives a tick."""
        if not self.has("tick") or price != price:
            return price
        return round_price(price, self.tick, self.side)

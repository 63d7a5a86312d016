"""Random scenarios for the kernel, as decimal texts that oracle and kernel both read exactly.

A scenario mixes modes, tiers small enough to be crossed, gaps, funding at the edge, stops and flips.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from decimal import Decimal

import numpy as np
from tests.exchange.oracle import Guard, Oracle, Row, Rules, Settlement, Terms, Tier, jumps

from gearing.exchange.engine.batch import Kernel
from gearing.exchange.engine.intervals import MarketArrays
from gearing.exchange.records import (
    account_dtype,
    config_dtype,
    contract_dtype,
    guard_dtype,
    ledger_dtype,
    margin_tier_dtype,
    position_dtype,
    records,
    row_dtype,
    settlement_dtype,
    step_dtype,
)

REBALANCE = ("every_decision", "on_change", "band", "never")
LEVERAGE_CHANGE = ("free", "up_only", "flat_only")
WALLET = "10000"


def text(value: float, digits: int) -> Decimal:
    return Decimal(f"{value:.{digits}f}")


class Scenario:
    """Everything one account meets, drawn from a seed."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        draw = self.rng.random
        self.cross, self.inverse = draw() < 0.4, draw() < 0.3
        self.hedge = draw() < 0.15
        self.n_contracts = int(self.rng.integers(1, 4)) if draw() < 0.6 else 1
        self.rules = self._rules()
        self.terms = [self._terms() for _ in range(self.n_contracts)]
        self.schedules = [self._tiers() for _ in range(self.n_contracts)]
        self.n_decisions, self.n_rows = int(self.rng.integers(3, 8)), int(self.rng.integers(1, 4))
        self.rows = self._rows()
        self.settlements = [self._settlements(r) for r in range(len(self.rows))]
        self.targets = [self._targets() for _ in range(self.n_decisions)]
        self.with_guards = not self.rules.close_only and draw() < 0.5
        self.guards = [[self._guard() for _ in range(self.n_slots)] for _ in range(self.n_decisions)]
        self.rules.free_balance_sizing = self.chance(0.25)
        self.whole_position_tiers = self.chance(0.2)
        if self.whole_position_tiers:
            for j, schedule in enumerate(self.schedules):
                schedule[:] = self._jumping_tiers(j)  # in place, because rows hold the schedules
        if self.rules.step_down:
            how = int(self.rng.integers(3))  # one tier at a time, two, or a fifth of the position first
            self.rules.step_down, self.rules.fifth_first = (1, 2, 0)[how], how == 2

    @property
    def n_slots(self) -> int:
        return self.n_contracts * (2 if self.hedge else 1)

    def chance(self, p: float) -> bool:
        return bool(self.rng.random() < p)

    def _rules(self) -> Rules:
        maintenance = self.rng.choice(["mark", "entry", "fee"], p=[0.7, 0.15, 0.15])
        return Rules(
            cross=self.cross, hedge=self.hedge, close_only=self.chance(0.1), last_liquidates=self.chance(0.15),
            at_entry=maintenance == "entry", closing_fee=Decimal("0.0005") if maintenance == "fee" else Decimal(0),
            fee_then_return=self.chance(0.5), step_down=int(not self.cross and self.chance(0.3)),
            largest_loss_first=self.cross and self.chance(0.4), profit_is_free=self.chance(0.2),
            free_balance_pays_funding=self.chance(0.2),
            leverage_change=str(self.rng.choice(LEVERAGE_CHANGE, p=[0.6, 0.2, 0.2])),
            rebalance=str(self.rng.choice(REBALANCE, p=[0.7, 0.1, 0.1, 0.1])), band=Decimal("0.5"),
            maker=self.chance(0.2), deleveraging_move=Decimal("0.03") if self.chance(0.1) else Decimal(0),
        )  # fmt: skip

    def _terms(self) -> Terms:
        share = (
            Decimal(1) / 2 ** int(self.rng.integers(0, 3)) / self.n_contracts
            if self.n_contracts != 3
            else Decimal("0.25")
        )
        if self.hedge:
            share /= 2
        lots = ("0", "1", "100") if self.inverse else ("0", "0.001", "0.1")
        return Terms(
            tick=Decimal(str(self.rng.choice(["0", "0.01", "0.5"]))), lot=Decimal(str(self.rng.choice(lots))),
            min_notional=Decimal(str(self.rng.choice(["0", "5", "500"]))) / (100 if self.inverse else 1),
            taker_fee=Decimal("0.0005"), maker_fee=Decimal(str(self.rng.choice(["0.0002", "-0.0001"]))),
            liquidation_fee=Decimal(str(self.rng.choice(["0", "0.002", "0.0125"]))), margin_share=share,
            inverse=self.inverse,
        )  # fmt: skip

    def _tiers(self) -> list[Tier]:
        count = int(self.rng.integers(1, 5))
        floors = [Decimal(0), *(text(x, 0) for x in np.sort(self.rng.uniform(5e3, 4e5, count - 1)))]
        rates = [Decimal("0.004") * (k + 1) for k in range(count)]
        amount, tiers = Decimal(0), []
        for k, (floor, rate) in enumerate(zip(floors, rates, strict=True)):
            if k:
                amount += floor * (rate - rates[k - 1])
            cap = floors[k + 1] if k + 1 < count else Decimal("3000000")
            tiers.append(Tier(floor, cap, rate, amount, Decimal(int(Decimal("0.5") / rate))))
        return tiers

    def _jumping_tiers(self, j: int) -> list[Tier]:
        """Tiers without amounts whose jumps lie about the notional of the contract's first order."""
        legs = 2 if self.hedge else 1
        asked = [abs(t[s]) for t in self.targets for s in range(j * legs, j * legs + legs) if t[s]]
        notional = Decimal(WALLET) * self.terms[j].margin_share * (asked[0] if asked else Decimal(10))
        floors = [Decimal(0), *(notional * text(x, 3) for x in np.arange(0.9, 1.08, 0.02)), Decimal("3e6")]
        tiers = []
        for k, (floor, cap) in enumerate(itertools.pairwise(floors)):
            rate = Decimal("0.004") + Decimal("0.002") * k
            # An order that is cut posts its initial margin only: twice the maintenance margin, as in `_tiers`.
            tiers.append(Tier(floor, cap, rate, Decimal(0), Decimal(int(Decimal("0.5") / rate))))
        return tiers

    def _rows(self) -> list[list[Row]]:
        volatility = float(self.rng.choice([0.004, 0.012, 0.04]))
        prices = self.rng.choice([20.0, 500.0, 30000.0], self.n_contracts)
        self.first_marks = [text(p, 2) for p in prices]
        self.delist = int(self.rng.integers(2, 30)) if self.chance(0.1) else 10**9
        rows = []
        for r in range(self.n_decisions * self.n_rows):
            row = []
            for j in range(self.n_contracts):
                gap = volatility * self.rng.standard_normal() * (3.0 if self.chance(0.1) else 0.3)
                open_ = prices[j] * math.exp(gap)
                moves = open_ * np.exp(volatility * np.cumsum(self.rng.standard_normal(4)))
                close = moves[-1]
                basis = 1.0 + 0.001 * self.rng.standard_normal(4)
                last = [open_, max(open_, *moves), min(open_, *moves), close]
                mark = [x * b for x, b in zip(last, basis, strict=True)]
                mark[1], mark[2] = max(mark), min(mark)
                prices[j] = close
                dead = j == 0 and r > self.delist
                row.append(
                    Row(
                        tuple(text(x, 2) for x in last), tuple(text(x, 2) for x in mark), Decimal("0.0002"),
                        Decimal("0.000001") if self.seeded_impact else Decimal(0), self.schedules[j],
                        tradable=not dead, delisted=j == 0 and r == self.delist,
                    )
                )  # fmt: skip
            rows.append(row)
        return rows

    @property
    def seeded_impact(self) -> bool:
        return self.terms[0].tick == 0

    def _settlements(self, r: int) -> list[Settlement]:
        found = []
        for j in range(self.n_contracts):
            if self.chance(0.3):
                rate = text(self.rng.normal(0.0002, 0.002) * (8 if self.chance(0.1) else 1), 6)
                row, inside = self.rows[r][j], self.chance(0.5)
                mark = None if self.chance(0.5) else row.mark[0]
                found.append(Settlement(j, rate, mark, inside))
        return found

    def _targets(self) -> list[Decimal | None]:
        out: list[Decimal | None] = []
        for s in range(self.n_slots):
            if self.chance(0.15):
                out.append(None)
                continue
            if self.chance(0.15):
                out.append(Decimal(0))
                continue
            size = text(float(self.rng.choice([0.5, 2.0, 8.0, 25.0, 60.0])) * self.rng.uniform(0.5, 1.0), 3)
            side = 1 if self.chance(0.5) else -1
            if self.hedge:
                side = 1 if s % 2 == 0 else -1
            out.append(side * size)
        return out

    def _guard(self) -> Guard:
        pick = lambda p, top: text(self.rng.uniform(0.003, top), 4) if self.chance(p) else None  # noqa: E731
        return Guard(pick(0.5, 0.05), pick(0.3, 0.05), pick(0.3, 0.05), self.chance(0.3))


def run_oracle(scenario: Scenario, seen: Counter[str] | None = None) -> list[dict[str, list[float]]]:
    """State after every decision by the oracle; what happened is counted in ``seen``."""
    oracle = Oracle(scenario.terms, scenario.rules, Decimal(WALLET), scenario.first_marks)
    out = []
    for d in range(scenario.n_decisions):
        span = slice(d * scenario.n_rows, (d + 1) * scenario.n_rows)
        guards = scenario.guards[d] if scenario.with_guards else None
        oracle.interval(scenario.rows[span], scenario.settlements[span], scenario.targets[d], guards)
        out.append(oracle_state(oracle))
        if oracle.equity < Decimal("1e-6"):
            break
    if seen is not None:
        seen.update(oracle.seen)
    return out


COUNTS = (
    "fills", "liquidations", "partial_liquidations", "stops", "take_profits", "deleveragings", "refused", "capped",
    "delistings",
)  # fmt: skip
MONEY = ("price_pnl", "fees", "funding", "liquidation", "turnover")


def oracle_state(oracle: Oracle) -> dict[str, list[float]]:
    state = {
        "wallet": [float(oracle.wallet)], "equity": [float(oracle.equity)], "insurance": [float(oracle.insurance)],
        "quantity": [float(p.q) for p in oracle.slots],
        "entry_price": [float(p.entry) if p.q else 0.0 for p in oracle.slots],
        "margin": [float(p.margin) for p in oracle.slots],
        "execution_price": [float(x.execution_price or 0) for x in oracle.ledgers],
    }  # fmt: skip
    for name in (*MONEY, *COUNTS):
        state[name] = [float(getattr(ledger, name)) for ledger in oracle.ledgers]
    return state


class Arrays:
    """A scenario as the records of the kernel."""

    def __init__(self, scenario: Scenario):
        self.scenario = scenario
        n, slots, rules = scenario.n_contracts, scenario.n_slots, scenario.rules
        self.accounts, self.positions = records(1, account_dtype), records((1, slots), position_dtype)
        self.ledgers, self.steps = records((1, slots), ledger_dtype), records(1, step_dtype)
        self.contracts, self.config = records(n, contract_dtype), records(1, config_dtype)
        for j, t in enumerate(scenario.terms):
            values = (
                t.tick,
                t.lot,
                t.min_notional,
                t.taker_fee,
                t.maker_fee,
                t.liquidation_fee,
                t.margin_share,
            )
            self.contracts[j] = (*(float(x) for x in values), int(t.inverse))
        c = self.config[0]
        c.cross, c.hedge, c.close_only = rules.cross, rules.hedge, rules.close_only
        c.last_price_liquidation, c.maintenance_at_entry = rules.last_liquidates, rules.at_entry
        c.closing_fee, c.fee_then_return = float(rules.closing_fee), rules.fee_then_return
        c.tier_step_down, c.largest_loss_first = rules.step_down, rules.largest_loss_first
        c.fifth_first = rules.fifth_first
        c.profit_is_free, c.funding_from_free_balance = rules.profit_is_free, rules.free_balance_pays_funding
        c.leverage_change = LEVERAGE_CHANGE.index(rules.leverage_change)
        c.rebalance, c.band, c.maker = REBALANCE.index(rules.rebalance), float(rules.band), rules.maker
        c.deleveraging_move, c.largest_target = float(rules.deleveraging_move), 100.0
        c.free_balance_sizing = rules.free_balance_sizing
        jumping = any(jumps(schedule) for schedule in scenario.schedules)
        c.whole_position_tiers = jumping and not rules.at_entry
        self._tiers_and_rows()
        account = self.accounts[0]
        for name in ("wallet_balance", "equity", "start_equity", "peak_equity"):
            account[name] = float(WALLET)
        account.last_row = scenario.n_decisions * scenario.n_rows
        self.positions.stop = self.positions.take_profit = self.positions.trailing = np.nan
        legs = slots // n
        for s in range(slots):
            self.positions[0, s].mark = float(scenario.first_marks[s // legs])
        bars = np.zeros((len(scenario.rows), 0), np.float32)
        markets = MarketArrays(
            self.contracts.reshape(1, -1), self.config, self.tiers, self.rows, self.cash, bars
        )
        self.kernel = Kernel(
            markets, self.accounts, self.positions, self.ledgers, self.steps, np.zeros((1, 0), np.float32),
            np.zeros(1, np.int64),
        )  # fmt: skip

    def _tiers_and_rows(self) -> None:
        scenario = self.scenario
        flat = [t for schedule in scenario.schedules for t in schedule]
        self.tiers = records(len(flat), margin_tier_dtype)
        for k, t in enumerate(flat):
            self.tiers[k] = tuple(float(x) for x in (t.floor, t.cap, t.rate, t.amount, t.max_leverage))
        ends = np.cumsum([len(s) for s in scenario.schedules])
        self.rows = records((len(scenario.rows), scenario.n_contracts), row_dtype)
        cash = [s for row in scenario.settlements for s in row]
        self.cash = records(len(cash), settlement_dtype)
        for k, s in enumerate(cash):
            self.cash[k] = (
                float(s.rate),
                math.nan if s.mark is None else float(s.mark),
                s.contract,
                s.inside,
            )
        position = 0
        for r, row in enumerate(scenario.rows):
            for j, x in enumerate(row):
                record = self.rows[r, j]
                for name, value in zip(("open", "high", "low", "close"), range(4), strict=True):
                    record[name], record[f"mark_{name}"] = float(x.last[value]), float(x.mark[value])
                record.slippage, record.impact = float(x.slippage), float(x.impact)
                record.tiers_last, record.tiers_first = ends[j], ends[j] - len(scenario.schedules[j])
                record.tradable, record.delisted, record.exit_row = x.tradable, x.delisted, -1
                record.next_row = (
                    (r // scenario.n_rows + 1) * scenario.n_rows if r % scenario.n_rows == 0 else -1
                )
                record.settlements_first = position
                record.settlements_last = position + len(scenario.settlements[r])
            position += len(scenario.settlements[r])

    def step(self, d: int) -> None:
        scenario = self.scenario
        targets = np.array([[math.nan if t is None else float(t) for t in scenario.targets[d]]])
        guards = None
        if scenario.with_guards:
            guards = records((1, scenario.n_slots), guard_dtype)
            for s, g in enumerate(scenario.guards[d]):
                values = (math.nan if x is None else float(x) for x in (g.stop, g.take_profit, g.trailing))
                guards[0, s] = (*values, int(g.on_last))
        self.kernel.step(np.ones(1, bool), targets, guards)

    def state(self) -> dict[str, list[float]]:
        account, slots = self.accounts[0], self.positions[0]
        state = {
            "wallet": [float(account.wallet_balance)], "equity": [float(account.equity)],
            "insurance": [float(account.insurance)], "quantity": slots.quantity.tolist(),
            "entry_price": np.where(slots.quantity != 0, slots.entry_price, 0.0).tolist(),
            "margin": slots.margin.tolist(), "execution_price": np.nan_to_num(self.ledgers[0].execution_price).tolist(),
        }  # fmt: skip
        for name in (*MONEY, *COUNTS):
            state[name] = [float(x) for x in self.ledgers[0][name]]
        return state


def run_kernel(scenario: Scenario) -> list[dict[str, list[float]]]:
    """State after every decision by the kernel."""
    arrays, out = Arrays(scenario), []
    for d in range(scenario.n_decisions):
        arrays.step(d)
        out.append(arrays.state())
        if arrays.accounts[0].equity < 1e-6:
            break
    return out

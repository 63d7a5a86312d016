"""An independent account in exact decimals, written from the exchange rules and the sizing, not from the kernel.

It differs on purpose where it can: an inverse position is treated as the linear position of the opposite sign in the
price 1/P, and the first mark with margin balance <= maintenance margin is found by walking the kinks (and jumps) of the
piecewise linear surplus, without any closed form for a liquidation price. Slow and plain.
"""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, getcontext

getcontext().prec = 50
ZERO, ONE = Decimal(0), Decimal(1)


@dataclass
class Tier:
    floor: Decimal
    cap: Decimal
    rate: Decimal
    amount: Decimal
    max_leverage: Decimal


@dataclass
class Terms:
    """What is traded: rounding, fees, margin share."""

    tick: Decimal
    lot: Decimal
    min_notional: Decimal
    taker_fee: Decimal
    maker_fee: Decimal
    liquidation_fee: Decimal
    margin_share: Decimal
    inverse: bool


@dataclass
class Row:
    """Prices and terms of one contract in one row."""

    last: tuple[Decimal, Decimal, Decimal, Decimal]  # open, high, low, close
    mark: tuple[Decimal, Decimal, Decimal, Decimal]
    slippage: Decimal
    impact: Decimal
    tiers: list[Tier]
    tradable: bool = True
    delisted: bool = False


@dataclass
class Settlement:
    contract: int
    rate: Decimal
    mark: Decimal | None
    inside: bool


@dataclass
class Guard:
    stop: Decimal | None = None
    take_profit: Decimal | None = None
    trailing: Decimal | None = None
    on_last: bool = False

    @property
    def rests(self) -> bool:
        return not (self.stop is None and self.take_profit is None and self.trailing is None)


@dataclass
class Ledger:
    price_pnl: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    liquidation: Decimal = ZERO
    turnover: Decimal = ZERO
    fills: int = 0
    liquidations: int = 0
    partial_liquidations: int = 0
    stops: int = 0
    take_profits: int = 0
    deleveragings: int = 0
    refused: int = 0
    capped: int = 0
    delistings: int = 0
    execution_price: Decimal | None = None


@dataclass
class Position:
    contract: int
    q: Decimal = ZERO  # signed
    entry: Decimal = ZERO
    margin: Decimal = ZERO
    leverage: Decimal = ONE
    target: Decimal = ZERO
    guard: Guard = field(default_factory=Guard)
    best: Decimal = ZERO
    unrealised: Decimal = ZERO  # at the last close
    mark: Decimal = ZERO  # of the last close

    @property
    def side(self) -> int:
        return 1 if self.q > 0 else -1


@dataclass
class Rules:
    """How the account is treated; plain words, see ``simulation.SimulationConfig``."""

    cross: bool = False
    hedge: bool = False
    close_only: bool = False
    last_liquidates: bool = False
    at_entry: bool = False
    closing_fee: Decimal = ZERO
    fee_then_return: bool = False
    step_down: int = 0  # tiers that a partial liquidation goes down at a time
    fifth_first: bool = False
    largest_loss_first: bool = False
    profit_is_free: bool = False
    free_balance_pays_funding: bool = False
    leverage_change: str = "free"
    rebalance: str = "every_decision"
    band: Decimal = ZERO
    maker: bool = False
    deleveraging_move: Decimal = ZERO
    free_balance_sizing: bool = False


def tier_of(value: Decimal, tiers: list[Tier]) -> Tier:
    """The last tier with floor <= value; what misses a floor by the fiftieth digit of a division is on it."""
    return [t for t in tiers if t.floor <= value + value.scaleb(-45)][-1]


def margin_of(value: Decimal, tiers: list[Tier]) -> Decimal:
    """Maintenance margin of a notional."""
    tier = tier_of(value, tiers)
    return value * tier.rate - tier.amount


def jumps(tiers: list[Tier]) -> bool:
    """Whether the maintenance margin jumps at a floor."""
    pairs = itertools.pairwise(tiers)
    return any(b.floor * b.rate - b.amount != b.floor * a.rate - a.amount for a, b in pairs)


def leverage_cap(leverage: Decimal, tiers: list[Tier]) -> Decimal:
    """Largest notional at a leverage setting."""
    fitting = [t.cap for t in tiers if t.max_leverage >= leverage]
    return fitting[-1] if fitting else ZERO


def on_grid(value: Decimal, step: Decimal, up: bool) -> Decimal:
    """Value on the grid, up or down; what misses it by the fiftieth digit of a division is on it."""
    if step == 0:
        return value
    steps = (value / step).quantize(Decimal("1e-30"))
    return steps.to_integral_value(ROUND_CEILING if up else ROUND_FLOOR) * step


class Oracle:
    """One account over rows."""

    def __init__(self, terms: list[Terms], rules: Rules, wallet: Decimal, marks: list[Decimal]):
        self.terms, self.rules = terms, rules
        self.wallet, self.equity, self.insurance = wallet, wallet, ZERO
        legs = 2 if rules.hedge else 1
        self.slots = [Position(contract=s // legs) for s in range(len(terms) * legs)]
        for p in self.slots:
            p.mark = marks[p.contract]
        self.ledgers = [Ledger() for _ in self.slots]
        self.row: list[Row] = []
        self.seen: Counter[str] = (
            Counter()
        )  # what happened, so that a suite of scenarios can show that it does

    # --- values

    def unit(self, j: int, price: Decimal) -> Decimal:
        return ONE / price if self.terms[j].inverse else price

    def value(self, p: Position, price: Decimal) -> Decimal:
        return abs(p.q) * self.unit(p.contract, price)

    def profit(self, p: Position, price: Decimal, q: Decimal | None = None) -> Decimal:
        q = p.q if q is None else q
        if q == 0:
            return ZERO
        sign = -1 if self.terms[p.contract].inverse else 1
        return sign * q * (self.unit(p.contract, price) - self.unit(p.contract, p.entry))

    def surplus(self, p: Position, price: Decimal, tier_at: Decimal | None = None) -> Decimal:
        """Unrealised profit less maintenance margin; by the tier that holds at the price ``tier_at``, if given."""
        if p.q == 0:
            return ZERO
        value, tiers = self.value(p, p.entry if self.rules.at_entry else price), self.row[p.contract].tiers
        needed = margin_of(value, tiers)
        if tier_at is not None and not self.rules.at_entry:
            tier = [t for t in tiers if t.floor <= self.value(p, tier_at)][-1]
            needed = value * tier.rate - tier.amount
        return self.profit(p, price) - needed - self.rules.closing_fee * value

    def jumping(self, j: int) -> bool:
        """Whether the path of a contract must be searched to both extremes."""
        return jumps(self.row[j].tiers) and not self.rules.at_entry

    def series(self, j: int) -> tuple[Decimal, ...]:
        """Open, high, low, close of the series that liquidates."""
        prices = self.row[j].last if self.rules.last_liquidates else self.row[j].mark
        return (prices[3],) * 4 if self.rules.close_only else prices

    @property
    def free(self) -> Decimal:
        return self.wallet - sum(p.margin for p in self.slots)

    # --- fills

    def cover(self, k: int, amount: Decimal) -> None:
        self.wallet += amount
        self.insurance += amount
        self.ledgers[k].liquidation += amount

    def forget(self, p: Position) -> None:
        p.q = p.entry = p.margin = p.best = ZERO
        p.guard = Guard()

    def close_part(self, k: int, size: Decimal, price: Decimal) -> None:
        p = self.slots[k]
        part = p.side * size
        gain, released = self.profit(p, price, part), p.margin * size / abs(p.q)
        self.wallet += gain
        self.ledgers[k].price_pnl += gain
        if not self.rules.cross and released + gain < 0:
            self.cover(k, -(released + gain))
        p.q -= part
        p.margin -= released
        if p.q == 0:
            self.forget(p)

    def fill(self, k: int, q: Decimal, price: Decimal, leverage: Decimal, rate: Decimal) -> None:
        p, ledger = self.slots[k], self.ledgers[k]
        traded = abs(q) * self.unit(p.contract, price)
        self.wallet -= rate * traded
        ledger.fees -= rate * traded
        ledger.turnover += traded
        ledger.fills += 1
        if p.q * q < 0:
            self.seen["flips"] += abs(q) > abs(p.q)
            closed = min(abs(p.q), abs(q))
            rest = abs(q) - closed
            self.close_part(k, closed, price)
            q = rest if q > 0 else -rest
        if q != 0:
            if p.q == 0:
                p.entry = p.best = price
            elif self.terms[p.contract].inverse:
                p.entry = (p.q + q) / (p.q / p.entry + q / price)
            else:
                p.entry = (p.q * p.entry + q * price) / (p.q + q)
            p.q += q
            p.leverage = leverage
            if not self.rules.cross:
                p.margin += abs(q) * self.unit(p.contract, price) / leverage
        if not self.rules.cross and self.free < 0:
            taken = min(-self.free, p.margin)
            p.margin -= taken
            if self.free < 0:
                self.cover(k, -self.free)

    def price_of_order(self, j: int, reference: Decimal, side: int, q: Decimal) -> Decimal:
        row = self.row[j]
        slippage = row.slippage
        if row.impact:
            slippage += row.impact * (abs(q) * self.unit(j, row.last[0])).sqrt()
        return on_grid(reference * (1 + side * slippage), self.terms[j].tick, side > 0)

    def close_at_market(self, k: int, reference: Decimal, rate: Decimal) -> None:
        p = self.slots[k]
        price = self.price_of_order(p.contract, reference, -p.side, p.q)
        self.fill(k, -p.q, price, p.leverage, rate)

    # --- decisions

    def decide(self, targets: list[Decimal | None], guards: list[Guard] | None) -> None:
        """Orders of one decision: reductions before increases."""
        now = self.wallet + sum(self.profit(p, self.row[p.contract].mark[0]) for p in self.slots)
        checked = min(self.equity, now)
        orders: list[tuple[int, int]] = []
        for k, target in enumerate(targets):
            if target is None:
                continue
            p = self.slots[k]
            budget = self.terms[p.contract].margin_share * self.equity
            wanted = abs(target) * budget / self.unit(p.contract, p.mark)
            grows = target != 0 and (target * p.q <= 0 or wanted > abs(p.q))
            orders.append((1 if grows else 0, k))
        many = len(self.slots) > 1
        for _, k in sorted(orders) if many else orders:
            p = self.slots[k]
            share = self.terms[p.contract].margin_share
            target = targets[k]
            assert target is not None
            self.order(k, target, share * self.equity, share * checked)
            p.target = target
            if guards is not None and p.q != 0:
                p.guard = guards[k]

    def order(self, k: int, target: Decimal, budget: Decimal, margin: Decimal) -> None:
        p, ledger = self.slots[k], self.ledgers[k]
        j, terms, row = p.contract, self.terms[p.contract], self.row[p.contract]
        if target == 0 and p.q == 0:
            return
        if not row.tradable:
            if p.q == 0 or target != 0:
                ledger.refused = 2
            return
        wanted = target * budget / self.unit(j, p.mark)
        same_side = p.q * target > 0
        if same_side and budget > 0 and self.keeps(p, target, self.value(p, p.mark) / budget):
            return
        leverage = max(ONE, abs(target))
        if same_side and self.rules.leverage_change == "up_only":
            leverage = max(leverage, p.leverage)
        if same_side and self.rules.leverage_change == "flat_only":
            leverage = p.leverage
        side = 1 if wanted > p.q else -1
        price = self.price_of_order(j, row.last[0], side, wanted - p.q)
        size, cuts = abs(wanted), ledger.capped
        held = abs(p.q) if same_side else -abs(p.q)
        fee = terms.maker_fee if self.rules.maker else terms.taker_fee
        if target != 0 and size > held:
            free = self.free_for(k, target, leverage, price, fee) if self.rules.free_balance_sizing else None
            if free is not None and free < 0 and same_side and leverage < p.leverage:
                leverage = p.leverage
                self.seen["settings kept for want of a top-up"] += 1
                free = self.free_for(k, target, leverage, price, fee)
            size = self.affordable(k, target, size, held, leverage, margin, price, fee, free)
        elif (
            self.rules.free_balance_sizing and same_side and leverage < p.leverage
            and self.free_for(k, target, leverage, price, fee) < 0
        ):  # fmt: skip
            self.seen["settings kept for want of a top-up"] += 1
            leverage = p.leverage
        size = on_grid(size, terms.lot, up=False)
        cut_at = min(leverage, abs(target)) if ledger.capped > cuts else None
        self.send(k, size if target > 0 else -size, price, leverage, fee, margin, cut_at)

    def free_for(self, k: int, target: Decimal, leverage: Decimal, price: Decimal, fee: Decimal) -> Decimal:
        """Free balance before a fill: W + min(0, sum U) - sum IM, with the own position at the new setting.

        Isolated: other positions keep their margin instead, and their profits and losses. A flip closes first.
        """
        p = self.slots[k]
        wallet, profits, claims = self.wallet, ZERO, ZERO
        for other in self.slots:
            if other is p or other.q == 0:
                continue
            if self.rules.cross:
                profits += self.profit(other, self.row[other.contract].mark[0])
                claims += self.value(other, other.entry) / other.leverage
            else:
                claims += other.margin
        if p.q * target >= 0:
            profits += self.profit(p, self.row[p.contract].mark[0])
            if p.q != 0:
                claims += self.value(p, p.entry) / leverage
        else:
            gain = self.profit(p, price)
            wallet += gain if self.rules.cross else max(gain, -p.margin)
            wallet -= fee * self.value(p, price)
        return wallet + min(ZERO, profits) - claims

    def affordable(
        self, k: int, target: Decimal, size: Decimal, held: Decimal, leverage: Decimal, margin: Decimal,
        price: Decimal, fee: Decimal, free: Decimal | None,
    ) -> Decimal:  # fmt: skip
        """Largest size with IM + fee + open loss within the margin, then within the tier's notional."""
        p, j, row = self.slots[k], self.slots[k].contract, self.row[self.slots[k].contract]
        unit, mark_unit = self.unit(j, price), self.unit(j, row.mark[0])
        worse = unit - mark_unit if not self.terms[j].inverse else mark_unit - unit
        loss = max(ZERO, worse if target > 0 else -worse)
        cost = fee * unit + loss
        if not self.rules.cross:
            margin = min(margin, p.margin + self.profit(p, row.mark[0]) + self.free)
        # IM of all that is held afterwards, fee and open loss of what is traded: size - held.
        wanted = size
        most = (margin + cost * held) / (unit / leverage + cost)
        size = min(size, most)
        if free is not None:
            limit = max(held, ZERO) + max(free, ZERO) / (unit / leverage + cost)
            self.seen["sizes bound by the free balance"] += limit < size
            size = min(size, max(held, ZERO) + max(free, ZERO) / (unit / leverage + cost))
        allowed = leverage_cap(leverage, row.tiers) / unit
        if size > allowed:
            self.ledgers[k].capped += 1
            size = allowed
        if held <= 0 and size < wanted * Decimal("1e-12"):
            return ZERO
        return max(size, held, ZERO)

    def keeps(self, p: Position, target: Decimal, effective: Decimal) -> bool:
        if self.rules.rebalance == "every_decision":
            return False
        if self.rules.rebalance == "on_change":
            return target == p.target
        if self.rules.rebalance == "band":
            return abs(effective - abs(target)) <= self.rules.band
        return True

    def send(
        self, k: int, wanted: Decimal, price: Decimal, leverage: Decimal, fee: Decimal, margin: Decimal,
        cut_at: Decimal | None,
    ) -> None:  # fmt: skip
        """Fill the order and post its margin: all of ``margin`` less what the order costs.

        Of an order cut to its tier's cap, the margin of what is then held at the leverage ``cut_at``, less losses
        against the mark; its fee comes from the free balance.
        """
        p, terms, mark = (
            self.slots[k],
            self.terms[self.slots[k].contract],
            self.row[self.slots[k].contract].mark[0],
        )
        order = wanted - p.q
        before = self.wallet + self.profit(p, mark)
        if order != 0 or p.q == 0:
            grown = abs(wanted) - abs(p.q) if p.q * wanted > 0 else abs(wanted)
            refused = False
            if grown > 0 and grown * self.unit(p.contract, price) < terms.min_notional:
                self.ledgers[k].refused = 1
                refused, order = True, (ZERO if p.q * wanted >= 0 else -p.q)
            elif wanted == 0 and p.q == 0:
                self.ledgers[k].refused = 1 if terms.lot > 0 else 3
                refused = True
            if order == 0:
                assert refused
                return
            self.fill(k, order, price, leverage, fee)
        if p.q == 0:
            return
        p.leverage = leverage
        if not self.rules.cross:
            lost = before - self.wallet - self.profit(p, mark)
            balance = margin - max(ZERO, lost)
            if cut_at is not None:
                paid = fee * abs(order) * self.unit(p.contract, price)
                own = self.value(p, price) / cut_at - max(ZERO, lost - paid)
                self.seen["margins of cut orders"] += own < balance
                balance = min(balance, own)
            self.post(p, balance, mark)

    def post(self, p: Position, balance: Decimal, mark: Decimal) -> None:
        """Bring margin + unrealised profit to ``balance``, as far as free balance and the venue allow."""
        profit = self.profit(p, mark)
        change = balance - profit - p.margin
        if change > 0:
            change = min(change, max(ZERO, self.free))
        elif not self.rules.profit_is_free:
            removable = p.margin + min(ZERO, profit) - self.value(p, p.entry) / p.leverage
            change = -min(-change, max(ZERO, removable))
        p.margin += change

    # --- funding

    def settle(self, settlements: list[Settlement], inside: bool, which: str) -> None:
        debited = False
        for s in settlements:
            if s.inside != inside:
                continue
            mark = self.row[s.contract].mark[0] if s.mark is None else s.mark
            for k, p in enumerate(self.slots):
                if p.contract != s.contract or p.q == 0:
                    continue
                cash = -p.q * self.unit(s.contract, mark) * s.rate
                pays = p.q * s.rate > 0
                if (which == "pay" and not pays) or (which == "receive" and pays):
                    continue
                debited = debited or pays
                free = max(ZERO, self.free)
                self.wallet += cash
                self.ledgers[k].funding += cash
                if not self.rules.cross:
                    from_margin = cash
                    if self.rules.free_balance_pays_funding:
                        from_margin = min(ZERO, cash + free)
                    p.margin += from_margin
                    if pays and not self.rules.close_only and p.margin + self.surplus(p, mark) <= 0:
                        self.seen["liquidations by funding"] += 1
                        self.liquidate(k, mark)
        if self.rules.cross and debited and not self.rules.close_only:
            marks = [self.series(j)[0] for j in range(len(self.terms))]
            for s in settlements:
                if s.inside == inside:
                    marks[s.contract] = self.row[s.contract].mark[0] if s.mark is None else s.mark
            if self.wallet + sum(self.surplus(p, marks[p.contract]) for p in self.slots) <= 0:
                self.seen["liquidations by funding"] += any(p.q != 0 for p in self.slots)
                self.liquidate_at(marks)

    # --- liquidation

    def test_open(self) -> None:
        if self.rules.close_only:
            return
        if self.rules.cross:
            if any(p.q != 0 for p in self.slots) and self.joint(ZERO) <= 0:
                self.liquidate_cross(ZERO)
            return
        for k, p in enumerate(self.slots):
            mark = self.series(p.contract)[0]
            if p.q != 0 and p.margin + self.surplus(p, mark) <= 0:
                self.liquidate(k, mark)

    def first_touch(self, p: Position, start: Decimal, end: Decimal) -> Decimal | None:
        """First price from ``start`` to ``end`` with margin balance <= maintenance margin."""
        if p.margin + self.surplus(p, start) <= 0:
            return start
        j = p.contract
        if p.margin + self.surplus(p, end) > 0 and not self.jumping(j):
            return None
        low, high = self.unit(j, start), self.unit(j, end)  # the surplus is piecewise linear in this variable
        kinks = [t.floor / abs(p.q) for t in self.row[j].tiers]
        inner = [x for x in kinks if min(low, high) < x < max(low, high)]
        path = [low, *sorted(inner, reverse=high < low), high]
        for a, b in itertools.pairwise(path):
            within = self.unit(j, (a + b) / 2)  # one tier holds between two kinks, to both of them
            at_a, at_b = (p.margin + self.surplus(p, self.unit(j, x), within) for x in (a, b))
            if at_a <= 0:
                return self.unit(j, a)
            if at_b <= 0:
                return self.unit(j, a + (b - a) * at_a / (at_a - at_b))
            if p.margin + self.surplus(p, self.unit(j, b)) <= 0:
                return self.unit(j, b)
        return None if self.jumping(j) else end

    def liquidate(self, k: int, mark: Decimal, reached: int | None = None) -> int | None:
        """Liquidate; with step-down, the number of the tier it is left in (a walk never stops twice in one)."""
        p, ledger = self.slots[k], self.ledgers[k]
        terms = self.terms[p.contract]
        ledger.execution_price = mark
        self.note_liquidation(p, mark)
        p.guard = Guard()  # open orders are cancelled first
        left = None
        if self.rules.step_down:
            left = self.step_down(k, mark, reached)
        elif self.rules.fifth_first and reached is None:
            left = self.sell_fifth(k, mark)
        if left is not None:
            ledger.partial_liquidations += 1
            return left
        vault = self.rules.fifth_first and self.below_two_thirds(p, mark)
        self.seen["positions taken by the vault"] += vault
        gain, value = self.profit(p, mark), self.value(p, mark)
        rest = p.margin + gain
        returns = self.rules.fee_then_return and not vault
        back = max(ZERO, rest - terms.liquidation_fee * value) if returns else ZERO
        self.wallet += back - p.margin
        self.insurance += back - rest
        ledger.price_pnl += gain
        ledger.liquidation += back - rest
        ledger.turnover += value
        ledger.liquidations += 1
        self.forget(p)
        return None

    def note_liquidation(self, p: Position, mark: Decimal) -> None:
        start = self.series(p.contract)[0]
        tiers = self.row[p.contract].tiers
        at = [max(n for n, t in enumerate(tiers) if t.floor <= self.value(p, x)) for x in (p.entry, mark)]
        self.seen["gaps"] += mark == start
        self.seen["tier crossings"] += at[0] != at[1]
        self.seen["inverse liquidations"] += self.terms[p.contract].inverse
        self.seen["hedge-mode liquidations"] += self.rules.hedge
        self.seen["cross liquidations"] += self.rules.cross
        self.seen["liquidations under jumping requirements"] += self.jumping(p.contract)

    def step_down(self, k: int, mark: Decimal, reached: int | None) -> int | None:
        """Sell to one floor after the other until margin suffices; None if that leaves nothing."""
        p, terms, stride = self.slots[k], self.terms[self.slots[k].contract], self.rules.step_down
        tiers, unit = self.row[p.contract].tiers, self.unit(p.contract, mark)
        here = tiers.index(tier_of(self.value(p, mark), tiers))
        start = here if reached is None else min(here, reached)
        for below in range(start - stride, -1, -stride):  # the tier it is to be left in, on its cap
            kept = on_grid(tiers[below + 1].floor / unit, terms.lot, False)
            if self.jumping(p.contract) and kept * unit >= tiers[below + 1].floor * (1 - Decimal("1e-40")):
                kept = (
                    kept - terms.lot if terms.lot else kept * (1 - Decimal("1e-40"))
                )  # the floor is the tier above's
            if kept <= 0:
                return None
            if kept >= abs(p.q):
                continue
            self.sell_part(k, abs(p.q) - kept, mark)
            value = kept * unit
            needed = value * tiers[below].rate - tiers[below].amount + self.rules.closing_fee * value
            if p.margin + self.profit(p, mark) > needed:
                self.seen["two tiers gone down at a time"] += stride > 1
                return below
        return None

    def sell_part(self, k: int, size: Decimal, mark: Decimal) -> None:
        """The venue sells a part; profit and clearance fee hit the position's margin."""
        p, ledger = self.slots[k], self.ledgers[k]
        gain, value = self.profit(p, mark, p.side * size), size * self.unit(p.contract, mark)
        fee = self.terms[p.contract].liquidation_fee * value
        self.wallet += gain - fee
        self.insurance -= fee
        p.margin += gain - fee
        ledger.price_pnl += gain
        ledger.liquidation -= fee
        ledger.turnover += value
        p.q -= p.side * size

    def below_two_thirds(self, p: Position, mark: Decimal) -> bool:
        """Less balance than two thirds of the maintenance margin."""
        profit = self.profit(p, mark)
        return p.margin + profit < (profit - self.surplus(p, mark)) * 2 / 3

    def sell_fifth(self, k: int, mark: Decimal) -> int | None:
        """A position above 100,000 loses a fifth first; None where all of it has to go."""
        p = self.slots[k]
        kept = on_grid(abs(p.q) * 4 / 5, self.terms[p.contract].lot, False)
        if self.value(p, mark) <= 100_000 or kept <= 0 or self.below_two_thirds(p, mark):
            return None
        self.sell_part(k, abs(p.q) - kept, mark)
        if p.margin + self.surplus(p, mark) <= 0:
            return None
        self.seen["fifths sold first"] += 1
        return 0  # a second liquidation of the same walk takes the rest

    # --- the path of an isolated position

    def stop_price(self, p: Position) -> Decimal | None:
        prices = []
        if p.guard.stop is not None:
            prices.append(p.entry * (1 - p.side * p.guard.stop))
        if p.guard.trailing is not None:
            prices.append(p.best * (1 - p.side * p.guard.trailing))
        if not prices:
            return None
        return max(prices) if p.q > 0 else min(prices)

    def profit_price(self, p: Position) -> Decimal | None:
        return None if p.guard.take_profit is None else p.entry * (1 + p.side * p.guard.take_profit)

    def watched(self, p: Position) -> tuple[Decimal, ...]:
        row = self.row[p.contract]
        return row.last if p.guard.on_last else row.mark

    def fire_at_open(self, k: int) -> None:
        p = self.slots[k]
        if p.q == 0 or not p.guard.rests:
            return
        seen, stop, target = self.watched(p)[0], self.stop_price(p), self.profit_price(p)
        taker = self.terms[p.contract].taker_fee
        if stop is not None and p.side * (seen - stop) <= 0:
            self.ledgers[k].stops += 1
            self.close_at_market(k, self.row[p.contract].last[0], taker)
        elif target is not None and p.side * (seen - target) >= 0:
            self.ledgers[k].take_profits += 1
            self.close_at_market(k, self.row[p.contract].last[0], taker)

    def touched_stop(self, p: Position) -> Decimal | None:
        stop = self.stop_price(p)
        if stop is None:
            return None
        seen = self.watched(p)
        return stop if (seen[2] <= stop if p.q > 0 else seen[1] >= stop) else None

    def walk_isolated(self, k: int) -> None:
        p = self.slots[k]
        start = self.series(p.contract)[0]
        if p.margin + self.surplus(p, start) > 0:
            self.fire_at_open(k)
        reached: int | None = None
        _, high, low, _ = self.series(p.contract)
        extreme = other = start
        while p.q != 0:
            extreme, other = (low, high) if p.q > 0 else (high, low)
            if self.jumping(p.contract) and self.surplus(p, other) < self.surplus(p, extreme):
                extreme, other = other, extreme
            mark = self.first_touch(p, start, extreme)
            stop = self.touched_stop(p)
            if stop is not None:
                same = p.guard.on_last == self.rules.last_liquidates
                nearer = mark is not None and p.side * (stop - mark) > 0 and p.side * (start - stop) >= 0
                if mark is None or (same and nearer):
                    self.ledgers[k].stops += 1
                    self.close_at_market(k, stop, self.terms[p.contract].taker_fee)
                    return
            if mark is None:
                break
            reached = self.liquidate(k, mark, reached)
            start = mark
        if self.jumping(p.contract):
            start = extreme
            while p.q != 0 and (mark := self.first_touch(p, start, other)) is not None:
                reached = self.liquidate(k, mark, reached)
                start = mark
        self.after_extreme(k)

    def after_extreme(self, k: int) -> None:
        """Take-profit, trailing stop after a new best price, deleveraging: for who survived the adverse extreme."""
        p = self.slots[k]
        if p.q != 0 and p.guard.rests:
            seen, taker = self.watched(p), self.terms[p.contract].taker_fee
            best, target = (seen[1] if p.q > 0 else seen[2]), self.profit_price(p)
            if target is not None and p.side * (best - target) >= 0:
                self.ledgers[k].take_profits += 1
                self.close_at_market(k, target, taker)
            elif p.side * (best - p.best) > 0:
                p.best = best
                stop = self.stop_price(p)
                if stop is not None and p.side * (seen[3] - stop) <= 0:
                    self.ledgers[k].stops += 1
                    self.close_at_market(k, stop, taker)
        if p.q != 0 and self.rules.deleveraging_move:
            mark = self.row[p.contract].mark
            price = mark[0] * (1 + p.side * self.rules.deleveraging_move)
            best = mark[1] if p.q > 0 else mark[2]
            if p.side * (best - price) >= 0 and self.profit(p, price) > 0:
                self.ledgers[k].deleveragings += 1
                self.fill(k, -p.q, price, p.leverage, ZERO)

    # --- the path of a cross account

    def worse(self, j: int) -> Decimal:
        """Extreme that hurts the net of a contract's legs more."""
        _, high, low, _ = self.series(j)
        legs = [p for p in self.slots if p.contract == j]
        return (
            low
            if sum(self.surplus(p, low) for p in legs) <= sum(self.surplus(p, high) for p in legs)
            else high
        )

    def joint_mark(self, j: int, way: Decimal) -> Decimal:
        """From the open (0) to the worse extreme (1), and on to the other extreme (2)."""
        start, high, low, _ = self.series(j)
        worse = self.worse(j)
        if way > 1:
            return worse + (way - 1) * ((low if worse == high else high) - worse)
        return start + way * (worse - start)

    def joint(self, way: Decimal, tiers_at: Decimal | None = None) -> Decimal:
        marks = [self.joint_mark(j, way) for j in range(len(self.terms))]
        if tiers_at is None:
            return self.wallet + sum(self.surplus(p, marks[p.contract]) for p in self.slots)
        held = [self.joint_mark(j, tiers_at) for j in range(len(self.terms))]
        return self.wallet + sum(self.surplus(p, marks[p.contract], held[p.contract]) for p in self.slots)

    def joint_touch(self, begin: Decimal) -> Decimal | None:
        """First point of the joint line with margin balance <= maintenance margin."""
        if any(self.jumping(j) for j in range(len(self.terms))):
            return self.joint_touch_jumping(begin)
        if self.joint(ONE) > 0:
            return None
        if self.joint(begin) <= 0:
            return begin
        if any(t.inverse for t in self.terms):
            return self.bent_touch(begin, ONE, None)
        kinks = {begin, ONE}
        for p in self.slots:
            start, end = self.series(p.contract)[0], self.worse(p.contract)
            if p.q != 0 and start != end and not self.rules.at_entry:
                for tier in self.row[p.contract].tiers:
                    way = (tier.floor / abs(p.q) - start) / (end - start)
                    if begin < way < 1:
                        kinks.add(way)
        path = sorted(kinks)
        for a, b in itertools.pairwise(path):
            at_a, at_b = self.joint(a), self.joint(b)
            if at_b <= 0:
                return a + (b - a) * at_a / (at_a - at_b)
        return ONE

    def bent_touch(self, a: Decimal, b: Decimal, tiers_at: Decimal | None) -> Decimal | None:
        """First deficit between two points where the surplus is bent: samples, and the lowest about each low one."""
        ways = [a + (b - a) * n / 8 for n in range(9)]
        values = [self.joint(way, tiers_at) for way in ways]
        for n in range(1, 8):
            if 0 < values[n] <= min(values[n - 1], values[n + 1]):
                ways.append(self.lowest(ways[n - 1], ways[n + 1], tiers_at))
        safe = a
        for way in sorted(ways):
            if self.joint(way, tiers_at) > 0:
                safe = way
                continue
            for _ in range(90):
                middle = (safe + way) / 2
                safe, way = (safe, middle) if self.joint(middle, tiers_at) <= 0 else (middle, way)
            return way
        return None

    def lowest(self, a: Decimal, b: Decimal, tiers_at: Decimal | None) -> Decimal:
        """Lowest point between two, by thirds."""
        for _ in range(60):
            left, right = a + (b - a) / 3, b - (b - a) / 3
            a, b = (a, right) if self.joint(left, tiers_at) < self.joint(right, tiers_at) else (left, b)
        return (a + b) / 2

    def joint_touch_jumping(self, begin: Decimal) -> Decimal | None:
        """The same to the other extremes and with jumps: each piece by the tiers that hold inside it."""
        for leg in (ZERO, ONE):
            kinks = {max(begin, leg), leg + 1}
            for p in self.slots:
                start, end = self.joint_mark(p.contract, leg), self.joint_mark(p.contract, leg + 1)
                if p.q != 0 and start != end:
                    for tier in self.row[p.contract].tiers[1:]:
                        price = self.unit(p.contract, tier.floor / abs(p.q))
                        kinks.add(leg + (price - start) / (end - start))
            path = sorted(x for x in kinks if max(begin, leg) <= x <= leg + 1)
            for a, b in itertools.pairwise(path):
                middle = (a + b) / 2
                at_a, at_b = self.joint(a, middle), self.joint(b, middle)
                if self.joint(a) <= 0 or at_a <= 0:
                    return a
                if any(t.inverse for t in self.terms):
                    inside = self.bent_touch(a, b, middle)
                    if inside is not None:
                        return inside
                elif at_b <= 0:
                    return a + (b - a) * at_a / (at_a - at_b)
                if self.joint(b) <= 0:
                    return b
        return None

    def joint_stop(self, begin: Decimal) -> tuple[Decimal | None, int]:
        first: tuple[Decimal | None, int] = (None, -1)
        for k, p in enumerate(self.slots):
            if p.q == 0 or not p.guard.rests:
                continue
            stop = self.touched_stop(p)
            if stop is None:
                continue
            way = ONE
            if p.guard.on_last == self.rules.last_liquidates and not self.rules.close_only:
                start, end = self.series(p.contract)[0], self.worse(p.contract)
                if end != start and (stop - start) * (end - start) >= 0:
                    way = min(ONE, max(begin, (stop - start) / (end - start)))
            if first[0] is None or way < first[0]:
                first = (way, k)
        return first

    def walk_cross(self) -> None:
        if self.joint(ZERO) > 0:
            for k in range(len(self.slots)):
                self.fire_at_open(k)
        begin = ZERO
        while any(p.q != 0 for p in self.slots):
            way, (stop_way, k) = self.joint_touch(begin), self.joint_stop(begin)
            if stop_way is not None and (way is None or stop_way < way):
                stop = self.stop_price(self.slots[k])
                assert stop is not None
                self.ledgers[k].stops += 1
                self.close_at_market(k, stop, self.terms[self.slots[k].contract].taker_fee)
                begin = stop_way
                continue
            if way is None:
                break
            self.liquidate_cross(way)
            begin = way
        for k, p in enumerate(self.slots):
            if p.q != 0:
                self.after_extreme(k)

    def liquidate_cross(self, way: Decimal) -> None:
        self.liquidate_at([self.joint_mark(j, way) for j in range(len(self.terms))])

    def liquidate_at(self, marks: list[Decimal]) -> None:
        for p in self.slots:
            if p.q != 0:
                self.note_liquidation(p, marks[p.contract])
            p.guard = Guard()  # open orders of the account are cancelled first
        if self.rules.largest_loss_first:
            while len(held := [k for k, p in enumerate(self.slots) if p.q != 0]) > 1:
                worst = min(held, key=lambda k: self.profit(self.slots[k], marks[self.slots[k].contract]))
                p, ledger = self.slots[worst], self.ledgers[worst]
                mark = marks[p.contract]
                gain, value = self.profit(p, mark), self.value(p, mark)
                fee = self.terms[p.contract].liquidation_fee * value
                self.wallet += gain - fee
                self.insurance -= fee
                ledger.price_pnl += gain
                ledger.liquidation -= fee
                ledger.turnover += value
                ledger.liquidations += 1
                ledger.execution_price = mark
                self.forget(p)
                if self.wallet + sum(self.surplus(x, marks[x.contract]) for x in self.slots) > 0:
                    return
        held = [k for k, p in enumerate(self.slots) if p.q != 0]
        values = {k: self.value(self.slots[k], marks[self.slots[k].contract]) for k in held}
        gains = {k: self.profit(self.slots[k], marks[self.slots[k].contract]) for k in held}
        rest = self.wallet + sum(gains.values())
        fees = sum(values[k] * self.terms[self.slots[k].contract].liquidation_fee for k in held)
        back = max(ZERO, rest - fees) if self.rules.fee_then_return else ZERO
        for k in held:
            ledger = self.ledgers[k]
            ledger.price_pnl += gains[k]
            ledger.liquidation += (back - rest) * values[k] / sum(values.values())
            ledger.turnover += values[k]
            ledger.liquidations += 1
            ledger.execution_price = marks[self.slots[k].contract]
            self.forget(self.slots[k])
        self.wallet = back
        self.insurance += back - rest

    # --- one decision interval

    def interval(
        self, rows: list[list[Row]], settlements: list[list[Settlement]], targets: list[Decimal | None],
        guards: list[Guard] | None,
    ) -> None:  # fmt: skip
        """Rows of one decision interval; settlements per row; the orders fill at the open of the first."""
        self.ledgers = [Ledger() for _ in self.slots]
        for number, (row, cash) in enumerate(zip(rows, settlements, strict=True)):
            self.row = row
            self.settle(cash, False, "both")
            if number == 0:
                self.test_open()
                self.decide(targets, guards)
            self.settle(cash, True, "both" if self.rules.close_only else "pay")
            if self.rules.cross:
                self.walk_cross()
            else:
                for k, p in enumerate(self.slots):
                    if p.q != 0:
                        self.walk_isolated(k)
            if not self.rules.close_only:
                self.settle(cash, True, "receive")
            for k, p in enumerate(self.slots):
                if p.q != 0 and row[p.contract].delisted:
                    self.ledgers[k].delistings += 1
                    self.fill(k, -p.q, row[p.contract].mark[3], p.leverage, ZERO)
        if self.wallet < 0 and all(p.q == 0 for p in self.slots):  # nobody owes an exchange
            self.cover(next((k for k, x in enumerate(self.ledgers) if x.fills), 0), -self.wallet)
        self.equity = self.wallet
        for k, p in enumerate(self.slots):
            p.mark = self.row[p.contract].mark[3]
            gain = self.profit(p, p.mark)
            self.ledgers[k].price_pnl += gain - p.unrealised
            p.unrealised = gain
            self.equity += gain

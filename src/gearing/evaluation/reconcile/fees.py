"""Fees of executions: at the rate of the row, else at the account's."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gearing.contracts import Contract, VenueProfile
from gearing.evaluation.reconcile.records.line import API_DECIMALS, Line
from gearing.exchange.rules import trading_fee

_ALIKE = 1e-3  # how far ratios of fees to ours may be apart, for one common discount


@dataclass(frozen=True)
class Paid:
    """A fee at a rate of the account: printed, at a rate of 1, ours, and how far it may be away."""

    printed: float
    whole: float
    ours: float
    unit: float
    maker: bool | None

    def is_at(self, rate: float) -> bool:
        """Whether the fee follows from this rate."""
        return abs(self.printed - rate * self.whole) <= 1.001 * self.unit


@dataclass
class Fees:
    """Fees at the account's rates; remembers those that differ, to say which level of the venue they are of.

    Attributes
    ----------
    rates : (taker, maker)
    """

    profile: VenueProfile
    rates: tuple[float, float]
    contracts: Mapping[str, Contract]
    paid: list[Paid] = field(default_factory=list)

    def of(self, line: Line, quantity: float, price: float) -> tuple[float, str]:
        """The fee, positive where paid, and why the printed one cannot be checked ("" if it can).

        At the printed rate, else at the account's: the nearer one where the row does not say which.
        """
        contract = self.contracts[line.symbol]
        inverse = contract.kind == "inverse"
        printed = float(line.printed.get("fee", "nan"))
        printed = -float(line.printed.get("fee_change", "0")) if printed != printed else printed
        if {"fee", "fee_change"} & set(line.unread):
            return abs(printed), ""
        if "rate" in line.given:
            return trading_fee(quantity, price, float(line.given["rate"]), inverse), ""
        fees = [trading_fee(quantity, price, rate, inverse) for rate in self.rates]
        ours = min(fees, key=lambda fee: abs(fee - abs(printed)))
        maker = None
        if "maker" in line.given:
            maker = line.given["maker"] == "true"
            ours = fees[maker]
        names = {"fee", "fee_change"} & set(line.printed)
        if not names or any(line.coins.get(name, "") not in ("", contract.settle) for name in names):
            return ours, ""
        unit = 10.0 ** -line.decimals.get("fee", API_DECIMALS)
        one = Paid(printed, trading_fee(quantity, price, 1.0, inverse), ours, unit, maker)
        if abs(printed - ours) <= 1.001 * unit:
            self.paid.append(one)
            return ours, ""
        if reason := self._not_in_table(one, contract):
            return printed, reason
        self.paid.append(one)
        return ours, ""

    def _not_in_table(self, one: Paid, contract: Contract) -> str:
        """Why a fee is at no rate of the venue's table, where the table does not hold it."""
        if contract.kind == "linear" and self.profile.settle and contract.settle != self.profile.settle:
            return f"the fees of contracts in {contract.settle} are not in the venue's table"
        if one.maker and one.printed < 0.0 and 0.0 < abs(one.printed) < one.ours:
            return "a rebate for makers, which no level of the venue's table has"
        return ""

    def notes(self) -> list[str]:
        """Which level of the venue all fees are of, where they are not those that were expected."""
        if all(one.is_at(one.ours / one.whole) for one in self.paid if one.whole):
            return []
        for name, taker, maker in self.profile.fee_levels:
            rates = {True: (maker,), False: (taker,), None: (taker, maker)}
            if all(any(one.is_at(rate) for rate in rates[one.maker]) for one in self.paid):
                return [f"all {len(self.paid)} fees are those of level {name}: give --fee-level {name!r}"]
        ratios = [one.printed / one.ours for one in self.paid if one.ours]
        if len(ratios) > 1 and max(ratios) - min(ratios) < _ALIKE:
            return [
                f"all {len(ratios)} fees are {ratios[0]:.4g} times ours: the account's rates may be others"
            ]
        return []

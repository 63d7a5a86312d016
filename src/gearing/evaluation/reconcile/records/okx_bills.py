"""OKX's bills, from the interface and from the page's trading history: every change of the account's balance."""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from gearing.evaluation.reconcile.records.kind import Kind, compared, irrelevant, meaning, used
from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.records.row import Row

CONTRACTS = {"SWAP", "FUTURES"}
TYPES = {
    "1": "transfer", "2": "trade", "3": "delivery", "4": "forced repayment", "5": "liquidation", "6": "margin transfer",
    "7": "interest", "8": "funding", "9": "auto-deleveraging", "10": "clawback", "11": "system conversion",
    "12": "strategy transfer", "13": "delta hedging", "14": "block trade", "15": "quick margin", "16": "borrowing",
    "22": "repayment", "24": "spread trade", "26": "structured products", "27": "convert", "28": "easy convert",
    "29": "one-click repayment", "30": "simple trade", "32": "moved position", "33": "loans", "34": "settlement",
    "250": "profit sharing", "251": "profit sharing refund", "381": "auto earn",
}  # fmt: skip


@dataclass(frozen=True)
class Action:
    """What a subtype of a bill does to a position.

    Attributes
    ----------
    kind : {"fill", "liquidation", "funding", "unread"}
    side : of the order
    leg : "long" or "short" where the subtype names it
    why : reason of "unread"
    """

    kind: str
    side: int = 0
    leg: str = ""
    why: str = ""


def _orders(first: int) -> dict[str, Action]:
    """Six subtypes in OKX's order: buy, sell, open long, open short, close long, close short."""
    order = [(1, ""), (-1, ""), (1, "long"), (-1, "short"), (-1, "long"), (1, "short")]
    return {str(first + k): Action("fill", *terms) for k, terms in enumerate(order)}


# Subtypes 104, 105, 125, 126, 112 and 113 name the direction of the position in either mode.
ACTIONS: dict[str, Action] = {
    **_orders(1), **_orders(204), **_orders(270), **_orders(324),
    "100": Action("fill", -1, "long?"), "101": Action("fill", 1, "short?"), "102": Action("fill", 1),
    "103": Action("fill", -1), "104": Action("liquidation", -1, "long?"), "105": Action("liquidation", 1, "short?"),
    "106": Action("liquidation", 1), "107": Action("liquidation", -1), "125": Action("fill", -1, "long?"),
    "126": Action("fill", 1, "short?"), "127": Action("fill", 1), "128": Action("fill", -1), "131": Action("fill", 1),
    "132": Action("fill", -1), "112": Action("fill", -1, "long?"), "113": Action("fill", 1, "short?"),
    "173": Action("funding"), "174": Action("funding"),
    "108": Action("unread", why="clawback: how much is not determined by the account"),
    "110": Action("unread", why="transfer of a liquidation between the position and the venue"),
    "111": Action("unread", why="transfer of a liquidation between the position and the venue"),
    "117": Action("unread", why="clawback: how much is not determined by the account"),
    "355": Action("unread", why="settlement of a dated contract"),
}  # fmt: skip
PAGE_ACTIONS = {
    "buy": "1", "sell": "2", "open long": "3", "open short": "4", "close long": "5", "close short": "6",
    "partial liquidation close long": "100", "partial liquidation close short": "101",
    "partial liquidation buy": "102", "partial liquidation sell": "103", "liquidation long": "104",
    "liquidation short": "105", "liquidation buy": "106", "liquidation sell": "107", "clawback": "108",
    "liquidation transfer in": "110", "liquidation transfer out": "111", "delivery long": "112", "delivery short": "113",
    "adl close long": "125", "adl close short": "126", "adl buy": "127", "adl sell": "128", "ddh buy": "131",
    "ddh sell": "132", "funding fee expense": "173", "funding fee income": "174", "settlement pnl": "355",
}  # fmt: skip
WORDS = {sub: word for word, sub in PAGE_ACTIONS.items()}
BY_TYPE = {"5": Action("liquidation"), "8": Action("funding")}  # where the subtype is missing
AT_MARKET_RATE = {
    "buy",
    "sell",
    "open long",
    "open short",
    "close long",
    "close short",
}  # else the rate is another


def skipped_type(line: Line, instrument: str) -> Line:
    """The line, or a skipped one where it is of no contract (spot, spot margin, options)."""
    if instrument.upper() in CONTRACTS:
        return line
    return replace(
        line, kind="skipped", label=f"{line.label} of {instrument.upper()}", printed={}, given={}, unread={}
    )


def bill(row: Row) -> Line:
    """``account/bills``, ``bills-archive`` and the archive of a quarter."""
    names = {"change": "balChg", "moved": "posBalChg", "pnl": "pnl", "fee": "fee", "interest": "interest"}
    isolated = row.text("mgnMode", "").lower() == "isolated"
    group, sub, identifier = row.text("type", ""), row.text("subType", ""), row.text("billId", "")
    given = row.numbers({"quantity": "sz", "price": "px"})
    if "execType" in row:
        given["maker"] = str(row.choice("execType", {"m": "true", "t": "false"}))
    line = Line(
        row.line, row.time("ts"), "skipped", row.text("instId", ""), given=given, trade=identifier or row.text("tradeId", ""),
        order=row.text("ordId", ""), file=row.file, label=f"bill ({TYPES.get(group, f'type {group}')})",
        identity=("bill", identifier, row.text("ccy", "")) if identifier else (), sequence=_number(identifier),
    )  # fmt: skip
    balance = row.number("bal") if "bal" in row else ""
    instrument = row.text("instType", instrument_of(line.symbol))
    if sub not in ACTIONS and group == "2":
        line = replace(line, unread={"bill": f"subType {sub or '(none)'} is not documented as a trade"})
    action = ACTIONS.get(sub) or BY_TYPE.get(group) or Action("skipped")
    return _acted(
        row, line, action, row.numbers(names), (row.text("ccy", "").upper(), balance), instrument, isolated
    )


def page_bill(row: Row) -> Line:
    """The page's trading history: one row for each bill; times are in the zone that stands above the header."""
    word, symbol = row.text("Action").lower(), row.text("Symbol", "")
    given = row.numbers({"quantity": "Amount", "price": "Filled Price"})
    if row.text("Trading Unit", "cont").lower() != "cont":
        given["unit"] = "coin"
    identifier = row.text("id", "")
    line = Line(
        row.line, row.time("Time"), "skipped", symbol, given=given, trade=identifier, order=row.text("Order id", ""),
        file=row.file, label=f"bill ({word})", sequence=_number(identifier),
        identity=("bill", identifier, row.text("Balance Unit", "")) if identifier else (),
        coins={"fee_change": row.text("Fee Unit", "").upper()},
    )  # fmt: skip
    names = {"change": "Balance Change", "pnl": "PnL", "fee": "Fee"}
    action = ACTIONS.get(PAGE_ACTIONS.get(word, "")) or Action("skipped")
    balance = row.text("Balance Unit", "").upper(), row.number("Balance") if "Balance" in row else ""
    return _acted(row, line, action, row.numbers(names), balance, instrument_of(symbol), False)


def instrument_of(symbol: str) -> str:
    """Type of an instrument by its name."""
    if symbol.endswith("-SWAP"):
        return "SWAP"
    return (
        "FUTURES"
        if re.search(r"-\d{6}$", symbol)
        else ("OPTION" if symbol.endswith(("-C", "-P")) else "SPOT")
    )


def _number(identifier: str) -> int:
    return int(identifier) if identifier.isdigit() and len(identifier) < 19 else -1


def _acted(
    row: Row, line: Line, action: Action, amounts: dict[str, str], balance: tuple[str, str], instrument: str, isolated: bool
) -> Line:  # fmt: skip
    """The line with what its action does, what it prints, and its place in the chain of balances."""
    coin, after = balance
    coins = {
        **dict.fromkeys(("fee_change", "realised", "funding"), coin),
        **{k: v for k, v in line.coins.items() if v},
    }
    if after and "change" in amounts:
        line = replace(line, balance=(coin, amounts["change"], after))
    line = replace(line, coins=coins, side=action.side, leg=action.leg)
    if action.kind in ("skipped", "unread") or not line.symbol:
        unread = {**line.unread, **({"bill": action.why} if action.why else {})}
        return replace(line, unread=unread, given={}, side=0, leg="")
    if instrument.upper() not in CONTRACTS:
        return skipped_type(replace(line, side=0, leg=""), instrument)
    parts = sum(Decimal(amounts.get(name, "0")) for name in ("pnl", "fee", "interest"))
    parts -= Decimal(amounts.get("moved", "0")) if isolated else 0
    line = replace(line, kind="entry", given={**line.given, "parts": format(parts, "f")})
    printed = {"change": amounts["change"]} if "change" in amounts else {}
    return _printed(row, line, action, amounts, printed)


def _printed(row: Row, line: Line, action: Action, amounts: dict[str, str], printed: dict[str, str]) -> Line:
    pnl, fee = amounts.get("pnl", ""), amounts.get("fee", "")
    if action.kind == "funding":
        paid = pnl or amounts.get("change", "")
        if Decimal(paid or 0) * {"funding fee expense": -1, "funding fee income": 1}.get(_word(row), 0) < 0:
            raise row.error(f"{_word(row)} of {paid}: an expense is negative and an income positive.")
        printed |= {"funding": paid, "quantity": line.given.get("quantity", "")}
        given = {name: text for name, text in line.given.items() if name != "maker"}
        return replace(line, instead="funding", given=given, printed={k: v for k, v in printed.items() if v})
    unread = dict(line.unread)
    printed |= {"realised": pnl} if pnl else {}
    if action.kind == "fill" and action.leg in ("", "long", "short") and _word(row) in AT_MARKET_RATE:
        printed |= {"fee_change": fee} if fee else {}
    elif fee and Decimal(fee):
        unread["fee"] = "fee of a forced trade: its rate is not in the record"
    if action.kind == "liquidation":
        printed |= {"execution_price": line.given["price"], "quantity": line.given["quantity"]}
    return replace(line, instead=action.kind, printed=printed, unread=unread)


def _word(row: Row) -> str:
    """The page's word of a bill's subtype."""
    sub = row.text("subType", "")
    return WORDS.get(sub, "") if sub else row.text("Action", "").lower()


_ID, _NONE, _OPTION = (
    irrelevant("an id"),
    irrelevant("without effect on any number"),
    irrelevant("of options"),
)
BILL = Kind(
    "bill", "GET /api/v5/account/bills, bills-archive", ("balChg", "ts", "type|subType"),
    {
        "instType": meaning("contract, spot or option"), "instId": used("contract"), "ts": used("order of the rows"),
        "type": meaning("what the amounts are"), "subType": meaning("side and position of the order"),
        "sz": compared("contracts"), "px": used("price or mark"), "pnl": compared("profit or funding"),
        "fee": compared("fee"), "interest": compared("part of balChg"), "ccy": meaning("coin of the amounts"),
        "balChg": compared("pnl + fee + interest - posBalChg"), "bal": compared("balance before + balChg"),
        "posBalChg": compared("part that an isolated position keeps"), "mgnMode": meaning("whether it keeps a part"),
        "posBal": irrelevant("margin or contracts, by the mode"), "execType": meaning("rate of the fee"),
        "billId": meaning("the same id is the same bill"), "tradeId": meaning("execution it belongs to"), "ordId": _ID,
        "clOrdId": _ID, "tag": _ID, "from": _NONE, "to": _NONE, "notes": _NONE, "fillTime": irrelevant("see ts"),
        "earnAmt": _NONE, "earnApr": _NONE, "fillIdxPx": _NONE, "fillMarkPx": _NONE, "fillPxVol": _OPTION,
        "fillPxUsd": _OPTION, "fillMarkVol": _OPTION, "fillFwdPx": _OPTION,
    },
    bill,
)  # fmt: skip
PAGE_BILL = Kind(
    "page's trading history", "Assets, Download center, Trading history", ("Action", "Balance Change", "Time", "Symbol|Trade Type"),
    {
        "id": meaning("the same id is the same bill"), "Order id": _ID, "Time": used("order of the rows"),
        "Trade Type": irrelevant("see Symbol"), "Symbol": used("contract"), "Action": meaning("side and position"),
        "Amount": compared("contracts"), "Trading Unit": meaning("contracts or coins"), "Filled Price": used("price or mark"),
        "Filled Price Unit": _NONE, "PnL": compared("profit or funding"), "Fee": compared("fee"),
        "Fee Unit": meaning("coin of the fee"), "Position Change": irrelevant("0 for contracts"), "Position Unit": _NONE,
        "Position Balance": irrelevant("0 for contracts"), "Balance Change": compared("PnL + Fee"),
        "Balance": compared("balance before + change"), "Balance Unit": meaning("coin of the amounts"),
        "Filled_price-USD": _NONE, "Pnl-USD": _NONE, "Fee-USD": _NONE, "Balance-USD": _NONE, "Balance_change-USD": _NONE,
    },
    page_bill, page=True,
)  # fmt: skip

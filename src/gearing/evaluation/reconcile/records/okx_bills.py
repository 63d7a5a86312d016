"""OKX's bills, from the interface and from the page's trading history: every change of the account's balance."""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from gearing.evaluation.reconcile.records.kind import Kind, compared, irrelevant, meaning, used
from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.records.row import Row

CONTRACTS = {"SWAP", "FUTURES"}
TYPES = {
    "1": "transfer", "2": "trade", "3": "delivery", "4": "forced repayment", "5": "liquidation",
    "6": "margin transfer",
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
    "liquidation transfer in": "110", "liquidation transfer out": "111", "delivery long": "112",
    "delivery short": "113",
    "adl close long": "125", "adl close short": "126", "adl buy": "127", "adl sell": "128", "ddh buy": "131",
    "ddh sell": "132", "funding fee expense": "173", "funding fee income": "174", "settlement pnl": "355",
}  # fmt: skip
MOVES = {
    "9": "interest deduction", "11": "transfer in", "12": "transfer out", "14": "interest deduction for vip loans",
    "16": "repay forcibly", "17": "repay interest by borrowing forcibly", "114": "forced repayment buy",
    "115": "forced repayment sell", "118": "system token conversion transfer in",
    "119": "system token conversion transfer out", "160": "manual margin increase", "161": "manual margin decrease",
    "162": "auto margin increase", "170": "exercised", "171": "counterparty exercised", "172": "expired otm",
    "200": "system transfer in", "201": "manually transfer in", "202": "system transfer out",
    "203": "manually transfer out", "210": "manual borrowing", "211": "manual repayment", "212": "auto borrow",
    "213": "auto repay", "220": "transfer in when using usdt to buy option",
    "221": "transfer out when using usdt to buy option", "224": "repayment transfer in",
    "225": "repayment transfer out",
    "236": "easy convert in", "237": "easy convert out", "250": "profit sharing expenses",
    "251": "profit sharing refund", "280": "spot profit sharing expenses", "281": "spot profit sharing refund",
    "282": "spot profit share income", "283": "asset transfer for spot copy trading",
    "284": "copy trade automatic transfer in", "285": "copy trade manual transfer in",
    "286": "copy trade automatic transfer out", "287": "copy trade manual transfer out",
    "290": "crypto dust auto-transfer out", "293": "fixed loan interest deduction",
    "294": "fixed loan interest refund",
    "295": "fixed loan overdue penalty", "296": "from structured order placements",
    "297": "to structured order placements", "298": "from structured settlements", "299": "to structured settlements",
    "306": "manual borrow", "307": "auto borrow", "308": "manual repay", "309": "auto repay", "312": "auto offset",
    "318": "convert in", "319": "convert out", "320": "simple buy", "321": "simple sell",
    "332": "margin transfer in isolated margin position", "333": "margin transfer out isolated margin position",
    "334": "margin loss when closing isolated margin position", "372": "bot airdrop (transfer in)",
    "373": "bot airdrop (transfer out)", "374": "bot airdrop reclaim (transfer in)",
    "375": "bot airdrop reclaim (transfer out)", "376": "collateralized borrowing auto conversion buy",
    "377": "collateralized borrowing auto conversion sell", "381": "auto earn",
}  # fmt: skip
PAGE_MOVES = {*MOVES.values(), "transfer", "deposit", "withdrawal", "convert", "trade"}
WORDS = {sub: word for word, sub in PAGE_ACTIONS.items()}
TYPE_OF = {"1 2 3 4 5 6": "2", "104 105 106 107": "5", "125 126 127 128": "9", "173 174": "8", "11 12": "1"}
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
    group, sub, identifier = row.text("type", ""), row.text("subType", ""), row.text("billId", "")
    given = row.sizes({"quantity": "sz", "price": "px"})
    _check_type(row, group, sub)
    if "execType" in row:
        given["maker"] = str(row.choice("execType", {"m": "true", "t": "false"}))
    coin = row.text("ccy", "").upper()
    line = Line(
        row.line, row.time("ts"), "skipped", row.text("instId", ""), given=given, file=row.file,
        trade=identifier or row.text("tradeId", ""), order=row.text("ordId", ""), sequence=_number(identifier),
        label=f"bill ({TYPES.get(group, f'type {group}')})", identity=("bill", identifier, coin) if identifier else (),
        coins=dict.fromkeys(("fee_change", "realised", "funding", "change"), coin), unread=_undocumented(group, sub),
    )  # fmt: skip
    names = {"change": "balChg", "pnl": "pnl", "fee": "fee", "interest": "interest", "balance": "bal"}
    if row.text("mgnMode", "").lower() == "isolated":
        names["moved"] = "posBalChg"
    action = ACTIONS.get(sub) or BY_TYPE.get(group) or Action("skipped")
    return _acted(row, line, action, row.numbers(names), row.text("instType", instrument_of(line.symbol)))


def _undocumented(group: str, sub: str) -> dict[str, str]:
    if sub and sub not in ACTIONS and sub not in MOVES:
        return {"bill": f"subType {sub} is not documented"}
    if group and group not in TYPES:
        return {"bill": f"type {group} is not documented"}
    if group in ("2", "9") and sub not in ACTIONS:
        return {"bill": "a trade without a subType that states its side"}
    return {}


def check_side(row: Row, sub: str, side: int) -> None:
    """Refuse a subtype that contradicts the side of the order."""
    if sub in ACTIONS and ACTIONS[sub].side not in (0, side):
        raise row.error(
            f"subType {sub} is a {'buy' if ACTIONS[sub].side > 0 else 'sell'}, side is not; one of them is wrong."
        )


def _check_type(row: Row, group: str, sub: str) -> None:
    """Refuse a subtype of another type."""
    expected = next((one for subs, one in TYPE_OF.items() if sub in subs.split()), group)
    if group and expected != group:
        raise row.error(f"subType {sub} is of type {expected}, not {group}; one of them is wrong.")


def page_bill(row: Row) -> Line:
    """The page's trading history: one row for each bill; times are in the zone that stands above the header."""
    word, symbol, identifier = row.text("Action").lower(), row.text("Symbol", ""), row.text("id", "")
    coin, sub = row.text("Balance Unit", "").upper(), PAGE_ACTIONS.get(word, "")
    given = row.sizes({"quantity": "Amount", "price": "Filled Price"})
    if row.text("Trading Unit", "cont").lower() != "cont":
        given["unit"] = "coin"
    line = Line(
        row.line, row.time("Time"), "skipped", symbol, given=given, trade=identifier, order=row.text("Order id", ""),
        file=row.file, label=f"bill ({word})", sequence=_number(identifier),
        identity=("bill", identifier, coin) if identifier else (),
        coins={"realised": coin, "funding": coin, "change": coin, "fee_change": row.text("Fee Unit", coin).upper()},
        unread={} if sub or word in PAGE_MOVES else {"bill": f"the action {word!r} is not documented"},
    )  # fmt: skip
    names = {"change": "Balance Change", "pnl": "PnL", "fee": "Fee", "balance": "Balance"}
    return _acted(row, line, ACTIONS.get(sub) or Action("skipped"), row.numbers(names), instrument_of(symbol))


def instrument_of(symbol: str) -> str:
    """Type of an instrument by its name."""
    if symbol.endswith("-SWAP"):
        return "SWAP"
    if symbol.endswith(("-C", "-P")):
        return "OPTION"
    return "SPOT" if re.fullmatch(r"[A-Z0-9]+-[A-Z0-9]+", symbol) else "FUTURES"


def _number(identifier: str) -> int:
    return int(identifier) if identifier.isdigit() and len(identifier) < 19 else -1


def _acted(row: Row, line: Line, action: Action, amounts: dict[str, str], instrument: str) -> Line:
    """The line with what its action does, what it prints, and its place in the chain of balances."""
    if {"balance", "change"} <= set(amounts):
        line = replace(line, balance=(line.coins["realised"], amounts["change"], amounts["balance"]))
    if action.kind in ("skipped", "unread") or not line.symbol:
        unread = {**line.unread, **({"bill": action.why} if action.why else {})}
        return _moved(row, replace(line, unread=unread), amounts)
    if instrument.upper() not in CONTRACTS:
        return skipped_type(line, instrument)
    parts = sum((Decimal(amounts.get(name, "0")) for name in ("pnl", "fee", "interest")), Decimal(0))
    parts -= Decimal(amounts.get("moved", "0"))
    given = {**line.given, "parts": format(parts, "f")}
    printed = {"change": amounts["change"]} if "change" in amounts else {}
    line = replace(
        line,
        kind="entry",
        side=action.side,
        leg=action.leg,
        given=given,
        printed=printed,
        instead=action.kind,
    )
    return _settlement(row, line, amounts) if action.kind == "funding" else _trade(row, line, amounts)


def _moved(row: Row, line: Line, amounts: dict[str, str]) -> Line:
    """A transfer changes the balance by its size, which the interface prints."""
    if row.text("type", "") != "1" or not {"quantity"} <= set(line.given) or "change" not in amounts:
        return replace(line, given={})
    size = Decimal(line.given["quantity"])
    parts = -size if Decimal(amounts["change"]) < 0 else size
    if (row.text("subType", "") == "12") == (parts > 0):
        raise row.error(f"a {_moves(row)} of {amounts['change']}: balChg is negative where money goes out.")
    return replace(line, given={"parts": format(parts, "f")}, printed={"change": amounts["change"]})


def _moves(row: Row) -> str:
    return MOVES.get(row.text("subType", ""), "transfer")


def _settlement(row: Row, line: Line, amounts: dict[str, str]) -> Line:
    paid, word = amounts.get("pnl", amounts.get("change", "0")), _word(row)
    if Decimal(paid) * {"funding fee expense": -1, "funding fee income": 1}.get(word, 0) < 0:
        raise row.error(f"{word} of {paid}: an expense is negative and an income positive.")
    printed = {**line.printed, "funding": paid}
    if "quantity" in line.given:
        printed["quantity"] = line.given["quantity"]
    known = {name: text for name, text in line.given.items() if name not in ("maker", "price")}
    if Decimal(line.given.get("price", "0")):
        known["price"] = line.given["price"]
    return replace(line, printed=printed, given=known)


def _trade(row: Row, line: Line, amounts: dict[str, str]) -> Line:
    row.check_trade(line.given)
    ours = {"realised": "pnl", "fee_change": "fee"}
    printed = {
        **line.printed,
        **{name: amounts[theirs] for name, theirs in ours.items() if theirs in amounts},
    }
    if line.instead == "liquidation":
        printed |= {"execution_price": line.given["price"], "quantity": line.given["quantity"]}
    return replace(line, printed=printed, forced=_word(row) not in AT_MARKET_RATE)


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
        "billId": meaning("the same id is the same bill"), "tradeId": meaning("execution it belongs to"),
        "ordId": _ID,
        "clOrdId": _ID, "tag": _ID, "from": _NONE, "to": _NONE, "notes": _NONE, "fillTime": irrelevant("see ts"),
        "earnAmt": _NONE, "earnApr": _NONE, "fillIdxPx": _NONE, "fillMarkPx": _NONE, "fillPxVol": _OPTION,
        "fillPxUsd": _OPTION, "fillMarkVol": _OPTION, "fillFwdPx": _OPTION,
    },
    bill,
)  # fmt: skip
PAGE_BILL = Kind(
    "page's trading history", "Assets, Download center, Trading history", ("Action", "Balance Change", "Time",
    "Symbol|Trade Type"),
    {
        "id": meaning("the same id is the same bill"), "Order id": _ID, "Time": used("order of the rows"),
        "Trade Type": irrelevant("see Symbol"), "Symbol": used("contract"), "Action": meaning("side and position"),
        "Amount": compared("contracts"), "Trading Unit": meaning("contracts or coins"),
        "Filled Price": used("price or mark"),
        "Filled Price Unit": _NONE, "PnL": compared("profit or funding"), "Fee": compared("fee"),
        "Fee Unit": meaning("coin of the fee"), "Position Change": irrelevant("0 for contracts"),
        "Position Unit": _NONE,
        "Position Balance": irrelevant("0 for contracts"), "Balance Change": compared("PnL + Fee"),
        "Balance": compared("balance before + change"), "Balance Unit": meaning("coin of the amounts"),
        "Filled_price-USD": _NONE, "Pnl-USD": _NONE, "Fee-USD": _NONE, "Balance-USD": _NONE,
        "Balance_change-USD": _NONE,
    },
    page_bill, page=True,
)  # fmt: skip

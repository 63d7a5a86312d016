"""Bybit's transaction log, from the interface and from the page of a unified account, and the page's trade history."""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from gearing.evaluation.reconcile.records.bybit import (
    EXECUTION,
    NOT_READ,
    POSITION,
    SIDES,
    execution_line,
)
from gearing.evaluation.reconcile.records.kind import Kind, compared, irrelevant, meaning, used
from gearing.evaluation.reconcile.records.line import Line
from gearing.evaluation.reconcile.records.row import Row, plain

TRADES = {"TRADE": "fill", "LIQUIDATION": "liquidation", "ADL": "fill"}  # and what they are played as
PAGE = {
    "kind": "Filled Type", "symbol": "Market", "side": "Direction", "time": "Transaction Time",
    "trade": "Trasaction ID",
    "order": "Order No.", "quantity": "Filled Quantity", "price": "Filled Price", "rate": "Fee Rate",
    "fee": "Trading Fee", "coin": "feeCoin", "maker": "Maker",
}  # fmt: skip
MONEY_MOVES = {
    "TRANSFER_IN", "TRANSFER_OUT", "AIRDROP", "BONUS", "BONUS_RECOLLECT", "FEE_REFUND", "INTEREST", "CURRENCY_BUY",
    "CURRENCY_SELL", "BORROWED_AMOUNT_INS_LOAN", "PRINCIPLE_REPAYMENT_INS_LOAN", "INTEREST_REPAYMENT_INS_LOAN",
    "AUTO_SOLD_COLLATERAL_INS_LOAN", "AUTO_BUY_LIABILITY_INS_LOAN", "AUTO_PRINCIPLE_REPAYMENT_INS_LOAN",
    "AUTO_INTEREST_REPAYMENT_INS_LOAN", "TRANSFER_IN_INS_LOAN", "TRANSFER_OUT_INS_LOAN", "SPOT_REPAYMENT_SELL",
    "SPOT_REPAYMENT_BUY", "TOKENS_SUBSCRIPTION", "TOKENS_REDEMPTION", "AUTO_DEDUCTION", "OTHERS", "REPAY", "BORROW",
    "FLEXIBLE_STAKING_SUBSCRIPTION", "FLEXIBLE_STAKING_REDEMPTION", "FIXED_STAKING_SUBSCRIPTION", "BONUS_TRANSFER_IN",
    "FLEXIBLE_STAKING_REFUND", "FIXED_STAKING_REFUND", "BONUS_TRANSFER_OUT", "PEF_TRANSFER_IN", "PEF_TRANSFER_OUT",
    "PEF_PROFIT_SHARE", "PREMARKET_TRANSFER_OUT", "PREMARKET_DELIVERY_SELL_NEW_COIN", "CUSTODY_LOCK",
    "CUSTODY_UNLOCK",
    "PREMARKET_DELIVERY_BUY_NEW_COIN", "PREMARKET_DELIVERY_PLEDGE_PAY_SELLER", "PREMARKET_DELIVERY_PLEDGE_BACK",
    "PREMARKET_ROLLBACK_PLEDGE_BACK", "PREMARKET_ROLLBACK_PLEDGE_PENALTY_TO_BUYER", "CUSTODY_NETWORK_FEE",
    "CUSTODY_SETTLE_FEE", "CUSTODY_UNLOCK_REFUND", "LOANS_BORROW_FUNDS", "LOANS_PLEDGE_ASSET",
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """An entry of the transaction log in either format; amounts are texts, "" where absent.

    Attributes
    ----------
    funding, cash, change : positive where received
    fee : positive where paid
    after : signed size of the position after it
    given : the rate, where it is printed
    sizes : the venue's names of quantity and price
    perpetual : bool, whether it is of a perpetual contract
    """

    kind: str
    symbol: str
    coin: str
    side: int
    time: np.datetime64
    funding: str
    fee: str
    cash: str
    change: str
    balance: str
    after: str
    given: dict[str, str]
    sizes: dict[str, str]
    perpetual: bool
    trade: str
    identity: tuple[str, ...]


def entry_line(row: Row, entry: Entry) -> Line:
    """An entry about a trade or a settlement, or a change of the wallet that no rule of the exchange determines."""
    rest = Decimal(entry.cash or 0) - Decimal(entry.fee or 0)
    given = {**entry.given, "parts": format(rest + Decimal(entry.funding or 0), "f")}
    if entry.funding and Decimal(entry.funding):
        given["classic parts"] = format(rest - Decimal(entry.funding), "f")
    line = Line(
        row.line, entry.time, "skipped", entry.symbol, entry.side, file=row.file, label=f"log {entry.kind}",
        coins=dict.fromkeys(("fee_change", "realised", "funding"), entry.coin), trade=entry.trade, by_side=True,
        identity=entry.identity, balance=(entry.coin, entry.change, entry.balance) if entry.balance else None,
        given=given, printed=_present({"change": entry.change}),
    )  # fmt: skip
    if entry.kind not in (*TRADES, "SETTLEMENT"):
        unread = {} if entry.kind in MONEY_MOVES else {"change": f"type {entry.kind} is not documented"}
        return replace(line, unread={"change": NOT_READ["Delivery"]} if entry.kind == "DELIVERY" else unread)
    if not entry.perpetual:
        return replace(line, label=f"{line.label} of no perpetual contract")
    line = replace(line, kind="entry", given={**given, **row.nonzero(entry.sizes)})
    if entry.kind == "SETTLEMENT":
        printed = {"change": entry.change, "after": entry.after, "funding": entry.funding or "0"}
        printed["quantity"] = line.given.get("quantity", "")
        return replace(line, instead="funding", printed=_present(printed), unread=_session(entry))
    return _trade(row, line, entry)


def _trade(row: Row, line: Line, entry: Entry) -> Line:
    row.check_trade(line.given)
    fee = format(-Decimal(entry.fee), "f") if entry.fee else ""
    printed = {"change": entry.change, "after": entry.after, "fee_change": fee, "realised": entry.cash}
    if entry.kind == "LIQUIDATION":
        printed |= {"execution_price": line.given["price"], "quantity": line.given["quantity"]}
    session = "contracts in USDC settle their profit every session"
    unread = {"realised": session} if entry.coin == "USDC" and "realised" in _present(printed) else {}
    forced = entry.kind == "LIQUIDATION"
    return replace(line, instead=TRADES[entry.kind], printed=_present(printed), unread=unread, forced=forced)


def _present(printed: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in printed.items() if text}


def _session(entry: Entry) -> dict[str, str]:
    if entry.coin == "USDC" and Decimal(entry.cash or 0) != 0:
        return {"cashFlow": "profit of the session of a contract in USDC"}
    return {}


def log(row: Row) -> Line:
    """``account/transaction-log``, and ``account/contract-transaction-log`` of classic accounts."""
    kind, symbol, coin = row.text("type").upper(), row.text("symbol", ""), row.text("currency", "").upper()
    side, time = int(row.choice("side", SIDES, "none")), row.time("transactionTime")
    amounts = {
        name: row.number(name) if name in row else "" for name in ("funding", "fee", "cashFlow", "change")
    }
    rate = row.numbers({"rate": "feeRate"})
    if kind == "SETTLEMENT" and side < 0 and rate:  # a short's rate has the other sign than the market's
        rate = {"rate": format(-Decimal(rate["rate"]), "f")}
    entry = Entry(
        kind, symbol, coin, side, time, amounts["funding"], amounts["fee"], amounts["cashFlow"], amounts["change"],
        row.number("cashBalance") if "cashBalance" in row else "", row.number("size") if "size" in row else "", rate,
        {"quantity": "qty", "price": "tradePrice"},
        row.text("category", "linear") in ("linear", "inverse"), row.text("tradeId", ""),
        ("log", row.text("id", ""), row.text("tradeId", ""), kind, coin, str(time)) if "id" in row else (),
    )  # fmt: skip
    return entry_line(row, entry)


def page_log(row: Row) -> Line:
    """The page's transaction log of a unified account; a fee paid is negative there, and a spot trade has no action."""
    kind, symbol, coin = row.text("Type").upper(), row.text("Contract", ""), row.text("Currency").upper()
    side, action = int(row.choice("Direction", SIDES, "none")), row.text("Action", "")
    fee = format(-Decimal(row.number("Fee Paid")), "f") if "Fee Paid" in row else ""
    names = ("Funding", "Cash Flow", "Change", "Wallet Balance", "Position")
    funding, cash, change, balance, after = (row.number(name) if name in row else "" for name in names)
    entry = Entry(
        kind, symbol, coin, side, row.time("Time"), funding, fee, cash, change, balance, after,
        {}, {"quantity": "Quantity", "price": "Filled Price"},
        bool(action) or kind != "TRADE", row.text("TradeId", ""),
        ("page log", *(f"{name}={text}" for name, text in sorted(row.texts.items()))),
    )  # fmt: skip
    return entry_line(row, entry)


def page_trade(row: Row) -> Line:
    """The page's trade history of derivatives; its times are minutes, "19:34 2026-02-28"."""
    time = plain(PAGE["time"])
    if match := re.fullmatch(r"(\d\d:\d\d(?::\d\d)?) (\d{4}-\d\d-\d\d)", row.texts.get(time, "")):
        row = replace(row, texts={**row.texts, time: f"{match[2]} {match[1]}"})
    return execution_line(row, PAGE)


_ID, _SIDE, _SYMBOL = irrelevant("an id"), meaning("buy or sell"), used("contract")
_TIME, _ORDER, _NONE = (
    used("order of the rows"),
    irrelevant("how it was ordered"),
    irrelevant("without effect"),
)
_CHANGE, _BALANCE = compared("sum of the row's amounts"), compared("balance before plus change")
LOG = Kind(
    "transaction log", "GET /v5/account/transaction-log", ("transactionTime", "type", "currency", "change|cashFlow"),
    {
        "id": meaning("the same id is the same entry"), "symbol": _SYMBOL, "category": meaning("perpetual or other"),
        "side": _SIDE, "transactionTime": _TIME, "type": meaning("what the amounts are"), "qty": used("size"),
        "transSubType": irrelevant("movePosition: a trade like any other"), "size": compared("position after it"),
        "currency": meaning("coin of the amounts"), "tradePrice": used("price or mark"),
        "funding": compared("funding"),
        "fee": compared("fee"), "cashFlow": compared("profit before fees"), "change": _CHANGE,
        "cashBalance": _BALANCE,
        "feeRate": used("rate of the fee or the settlement"), "bonusChange": irrelevant("part of change"),
        "tradeId": meaning("execution it repeats"), "orderId": _ID, "orderLinkId": _ID, "extraFees": _NONE,
    },
    log,
)  # fmt: skip
PAGE_LOG = Kind(
    "page's transaction log", "Data Export, Transaction Log", ("Currency", "Type", "Change", "Wallet Balance",
    "Time"),
    {
        "Uid": _ID, "Currency": meaning("coin of the amounts"), "Contract": _SYMBOL, "Type": meaning("what they are"),
        "Direction": _SIDE, "Quantity": used("size"), "Position": compared("position after it"),
        "Filled Price": used("price"), "Funding": compared("funding"), "Fee Paid": compared("fee"),
        "Cash Flow": compared("profit before fees"), "Change": _CHANGE, "Wallet Balance": _BALANCE,
        "Action": meaning("a spot trade has none"), "OrderId": _ID, "TradeId": meaning("execution it repeats"),
        "Time": _TIME,
    },
    page_log, page=True,
)  # fmt: skip
PAGE_TRADE = Kind(
    "page's trade history", "Data Export, Derivatives Trade History",
    ("Market", "Filled Type", "Filled Quantity", "Filled Price", "Direction"),
    {
        "Uid": _ID, "Market": _SYMBOL, "Filled Type": meaning("trade, funding or liquidation"), "Direction": _SIDE,
        "Filled Quantity": used("size"), "Filled Price": used("price"), "Fee Rate": used("rate of the fee"),
        "Trading Fee": compared("fee or funding"), "feeCoin": meaning("coin of the fee"), "Order Price": _ORDER,
        "ExecFeeV2": irrelevant("repeats the fee"), "Order Type": _ORDER, "Order No.": _ID, "Transaction Time": _TIME,
        "Trasaction ID": meaning("the same id is the same execution"), "Transaction ID": _ID, "Time": _TIME,
    },
    page_trade, page=True,
)  # fmt: skip

KINDS = (EXECUTION, LOG, PAGE_LOG, PAGE_TRADE, POSITION)

"""Files that Binance's web page exports: futures trade, transaction, order and position history.

Headers differ by year and language of the page; spellings of one column are alternatives. Times are in the zone of the
page, which the header or the file's name states. The coin stands behind the fee or in a column of its own.
"""

from decimal import Decimal

from gearing.evaluation.reconcile.records.binance import LEGS, income_line, maker
from gearing.evaluation.reconcile.records.closed import SIZE_CHANGED
from gearing.evaluation.reconcile.records.kind import Field, Kind, compared, irrelevant, meaning, used
from gearing.evaluation.reconcile.records.line import API_DECIMALS, Line
from gearing.evaluation.reconcile.records.row import Row

_LEAST_DECIMALS = 2  # of an amount of money on the page
TIME, QUANTITY, AMOUNT = (
    ("Time", "Date", "Trade Time"),
    ("Quantity", "Qty", "Executed Qty"),
    ("Amount", "Total"),
)
PROFIT, FEE_COIN = (
    ("Realized Profit", "Realized PnL", "Realized P&L"),
    ("Fee Coin", "Fee Asset", "Commission Asset"),
)


def symbol_of(row: Row) -> str:
    """The contract as the interface names it: "BTCUSDT Perpetual" is BTCUSDT, "BTCUSD Perpetual" BTCUSD_PERP."""
    words = row.text(row.first("Symbol", "Pair", "Contract"), "").upper().split()
    if not words:
        return ""
    coin_margined = words[0].endswith("USD") and len(words) > 1
    return f"{words[0]}_PERP" if coin_margined else words[0]


def page_decimals(row: Row, name: str) -> int:
    """Decimals of an amount: those of its column, and all where no row of it has decimals."""
    return max(_LEAST_DECIMALS, row.column_decimals(name) or API_DECIMALS)


def trade(row: Row) -> Line:
    """Trade history: an execution with fee and realised profit."""
    fee, coin = row.amount("Fee")
    coin = row.text(row.first(*FEE_COIN), coin).upper()
    profit, value = row.first(*PROFIT), row.first(*AMOUNT)
    side, symbol = row.side("Side"), symbol_of(row)
    number = row.text("Trade ID", "")
    given = row.sizes({"quantity": row.first(*QUANTITY), "price": "Price"}) | maker(row, "Maker")
    return Line(
        row.line, row.time(row.first(*TIME)), "fill", symbol, side, given,
        {"fee": fee, **row.numbers({"realised": profit, "value": value})}, row.file, "trade history",
        str(row.choice("Position Side", LEGS, "both")), number, row.text("Order ID", ""),
        {"fee": coin, "realised": row.amount(profit)[1] if profit in row else ""},
        {"fee": page_decimals(row, "Fee"), "realised": page_decimals(row, profit), "value": page_decimals(row, value)},
        identity=("trade", symbol, number, str(side)) if number else (),
        sequence=int(number) if number.isdigit() else -1,
    )  # fmt: skip


def transaction(row: Row) -> Line:
    """Transaction history: the same entries as ``income``."""
    return income_line(row, row.first(*TIME), "Amount", "Type", "Transaction ID")


def order(row: Row) -> Line:
    """Order history: orders are no executions."""
    status = row.text("Status", "").lower()
    return Line(
        row.line,
        row.time(row.first(*TIME)),
        "skipped",
        symbol_of(row),
        file=row.file,
        label=f"order {status}".strip(),
    )


def closed_position(row: Row) -> Line:
    """Position history: a closed position with its average prices and its profit."""
    side, symbol = row.side("Position Side"), symbol_of(row)
    printed, closed = row.numbers({"realised": "Closing PNL"}), row.text("Closed", "")
    if row.text("Status", "closed").lower() != "closed" or not closed:
        return Line(
            row.line, row.time("Opened"), "skipped", symbol, file=row.file, label="position not closed"
        )
    given = row.numbers({"quantity": "Closed Vol.", "entry": "Entry Price", "price": "Avg. Close Price"})
    largest = Decimal(row.number("Max Open Interest")) if "Max Open Interest" in row else None
    grew = largest is not None and Decimal(given.get("quantity", "0")) > largest
    return Line(
        row.line, row.time("Closed"), "closed", symbol, side, given,
        printed, row.file, "position history", decimals={"realised": page_decimals(row, "Closing PNL")},
        unread={"realised": SIZE_CHANGED} if grew else {},
    )  # fmt: skip


def _spelled(names: tuple[str, ...], field: Field) -> dict[str, Field]:
    return dict.fromkeys(names, field)


_SYMBOL = _spelled(("Symbol", "Pair", "Contract"), used("contract"))
_TIME = _spelled(TIME, used("order of the rows, in the page's zone"))
_UID = {"Uid": irrelevant("number of the account"), "User ID": irrelevant("number of the account")}

TRADES = Kind(
    "trade history", "web page, Futures, Trade History",
    ("|".join(TIME), "Symbol|Pair|Contract", "Side", "Price", "|".join(QUANTITY), "Fee"),
    {
        **_SYMBOL, **_TIME, **_UID, "Side": meaning("buy or sell"), "Price": used("price"),
        **_spelled(QUANTITY, used("size")), **_spelled(AMOUNT, compared("value")),
        "Fee": compared("fee, its coin behind it"), **_spelled(FEE_COIN, meaning("coin of the fee")),
        **_spelled(PROFIT, compared("profit before fees")), "Position Side": meaning("position of hedge mode"),
        "Maker": meaning("rate of the fee"), "Buyer": irrelevant("repeats the side"),
        "Trade ID": meaning("the same id is the same execution"), "Order ID": meaning("executions of a forced order"),
        "Quote Asset": irrelevant("part of the symbol"), "Base Asset": irrelevant("part of the symbol"),
        "Order Type": irrelevant("how it was ordered"), "Type": irrelevant("how it was ordered"),
    },
    trade, page=True,
)  # fmt: skip
TRANSACTIONS = Kind(
    "transaction history", "web page, Futures, Transaction History", ("|".join(TIME), "Type", "Amount", "Asset"),
    {
        **_SYMBOL, **_TIME, **_UID, "Type": meaning("what the amount is"), "Amount": compared("funding, fee or profit"),
        "Asset": meaning("coin of the amount"), "Transaction ID": meaning("the same id is the same entry"),
    },
    transaction, page=True,
)  # fmt: skip
_IGNORED = irrelevant("orders are no executions")
ORDERS = Kind(
    "order history", "web page, Futures, Order History",
    ("|".join(TIME), "Symbol|Pair|Contract", "Side", "Type|Order Type", "Status"),
    {
        **_SYMBOL, **_TIME, **_UID, "Status": meaning("counted by status"),
        **_spelled(
            ("Side", "Type", "Order Type", "Position Side", "Price", "Average Price", "Avg Price", "Amount", "Quantity",
             "Executed Amount", "Executed Quote Amount", "Executed Qty", "Filled", "Stop Price", "Trigger Price",
             "Client Order ID", "Time in Force", "Activate Price", "Price Rate", "Update Time", "Order No", "Order ID",
             "Reduce Only", "Conditions", "Total"), _IGNORED),
    },
    order, page=True,
)  # fmt: skip
POSITIONS = Kind(
    "position history", "web page, Futures, Position History",
    ("Symbol", "Position Side", "Entry Price", "Avg. Close Price", "Closed Vol.", "Closing PNL"),
    {
        **_SYMBOL, "Position Side": meaning("long or short"), "Entry Price": used("average price"),
        "Avg. Close Price": used("average price"), "Closed Vol.": used("size"), "Closing PNL": compared("profit"),
        "Opened": irrelevant("its executions have times"), "Closed": used("order of the rows"),
        "Status": meaning("closed or still open"), "Margin Mode": irrelevant("no liquidation price is printed"),
        "Max Open Interest": meaning("whether size was added after a part was closed"),
    },
    closed_position, page=True,
)  # fmt: skip

KINDS = (TRADES, TRANSACTIONS, ORDERS, POSITIONS)

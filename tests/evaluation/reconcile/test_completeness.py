"""Orders whose executions are in the statement, too, close a position once."""

from typing import Any

from gearing.contracts import Contract, TierSchedule, venue
from gearing.evaluation.reconcile.replay import reconcile
from gearing.evaluation.reconcile.statements import parse_records

START = 1_735_689_600_000


def trade(number: int, side: str, price: str, order: int, realised: str = "0") -> dict[str, Any]:
    """A taker's execution of 0.01 BTC, 0.05 % of whose value is the fee."""
    return {
        "symbol": "BTCUSDT", "id": number, "orderId": order, "side": side, "price": price, "qty": "0.01",
        "commission": f"{0.01 * float(price) * 0.0005:.8f}", "realizedPnl": realised, "maker": False,
        "time": START + number,
    }  # fmt: skip


def test_an_auto_deleveraging_and_its_execution_close_the_position_once():
    order = {
        "symbol": "BTCUSDT", "orderId": 9, "clientOrderId": "adl_autoclose", "status": "FILLED", "side": "SELL",
        "executedQty": "0.010", "avgPrice": "85000", "price": "85100", "cumQuote": "850", "time": START + 2,
    }  # fmt: skip
    opened, closed = (
        trade(1, "BUY", "94000", 8),
        trade(2, "SELL", "85000", 9, "-90"),
    )  # 0.01 x (85 000 - 94 000)
    contract = Contract("BTCUSDT", schedules=(TierSchedule.flat(0.005),))
    for rows, skipped in (([opened, order], 0), ([opened, order, closed], 1), ([opened, closed, order], 1)):
        lines = parse_records(rows, "binance-usdm")
        found = reconcile(lines, [contract], venue("binance-usdm"))
        assert found.differences.empty, str(found)
        assert (found.unchecked, found.rows["skipped"]) == ((), skipped)

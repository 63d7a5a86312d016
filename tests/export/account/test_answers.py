"""Accounts as venues return them: strings and all; what is partial or of another mode is refused."""

from types import SimpleNamespace

import pytest

from gearing.contracts import Contract, TierSchedule
from gearing.export import BundleError
from gearing.export.account.given import load_account

TIERS = (TierSchedule.flat(0.005),)


def manifest(mode="isolated"):
    contracts = (Contract("BTCUSDT", schedules=TIERS), Contract("ETHUSDT", schedules=TIERS))
    symbols = tuple(one.symbol for one in contracts)
    return SimpleNamespace(contracts=contracts, symbols=symbols, config=SimpleNamespace(margin_mode=mode))


WANTED = {
    "wallet_balance": 1000.5,
    "positions": {
        "BTCUSDT": {
            "quantity": -0.02,
            "entry_price": 61000.0,
            "leverage": 3.0,
            "margin": 410.0,
            "mark": 60900.0,
        }
    },
}


def binance(**changes):
    row = {
        "symbol": "BTCUSDT", "positionAmt": "-0.020", "entryPrice": "61000.0", "leverage": "3", "isolated": True,
        "isolatedWallet": "410", "positionSide": "BOTH", "markPrice": "60900", **changes,
    }  # fmt: skip
    flat = {**row, "symbol": "DOGEUSDT", "positionAmt": "0"}
    return {"totalWalletBalance": "1000.5", "assets": [{"asset": "USDT", "walletBalance": "1000.5"}],
            "positions": [row, flat]}  # fmt: skip


def bybit(**changes):
    row = {
        "symbol": "BTCUSDT", "side": "Sell", "size": "0.02", "avgPrice": "61000", "leverage": "3", "positionIdx": 0,
        "positionBalance": "410", "markPrice": "60900", **changes,
    }  # fmt: skip
    coins = [{"coin": "USDT", "walletBalance": "1000.5"}]
    return [
        {"retCode": 0, "retMsg": "OK", "result": {"list": [{"accountType": "UNIFIED", "coin": coins}]}},
        {"retCode": 0, "retMsg": "OK", "result": {"category": "linear", "list": [row]}},
    ]


def changed(answers, number, **changes):
    """Bybit's answers, one of them with another result."""
    answers[number]["result"] |= changes
    return answers


def okx(**changes):
    row = {
        "instId": "BTC-USDT-SWAP", "pos": "-2", "posSide": "net", "avgPx": "61000", "lever": "3", "margin": "410",
        "mgnMode": "isolated", "markPx": "60900", **changes,
    }  # fmt: skip
    return {
        "balance": {"code": "0", "msg": "", "data": [{"details": [{"ccy": "USDT", "cashBal": "1000.5"}]}]},
        "positions": {"code": "0", "msg": "", "data": [row]},
    }


@pytest.mark.parametrize("answer", [binance, bybit, okx])
def test_every_venues_answer_is_the_same_account(answer):
    # OKX: two contracts of 0.01 bitcoin
    assert load_account(answer(), manifest()) == WANTED


def test_binances_account_has_no_mark_and_its_profit_tells_it():
    # a short of 0.02 from 61,000 that has won 2: (61,000 - mark) x 0.02 = 2, so the mark is 60,900
    without = binance(unrealizedProfit="2.0")
    del without["positions"][0]["markPrice"]
    assert load_account(without, manifest())["positions"]["BTCUSDT"]["mark"] == pytest.approx(
        60_900.0, abs=1e-9
    )


def test_a_cross_account_has_no_margin_of_positions():
    assert "margin" not in load_account(binance(isolated=False), manifest("cross"))["positions"]["BTCUSDT"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (binance(positionAmt="x"), "positionAmt is 'x'"),
        (binance(positionAmt=""), "positionAmt is ''"),
        (binance(entryPrice="nan"), "entryPrice is 'nan'"),
        (binance(leverage=None), "leverage is None"),
        (binance(positionSide="LONG"), "hedge mode"),
        (binance(symbol="XRPUSDT"), "'XRPUSDT', which this bundle does not decide on"),
        ({**binance(), "assets": []}, "the answers lack USDT"),
        ({**binance(), "positions": None}, "the answers lack positions"),
        (bybit(side=""), "side is ''"),
        (bybit(positionIdx=1), "hedge mode"),
        (bybit()[:1], "the answers lack the list of positions"),
        (bybit()[1:], "the answers lack USDT"),
        (
            [{"retCode": 10002, "retMsg": "invalid request", "result": {}}],
            "the exchange refused the request: 10002",
        ),
        (okx(posSide="long"), "hedge mode"),
        (okx(pos=""), "pos is ''"),
        ([okx()["balance"]], "the answers lack the list of positions"),
        ({**okx(), "positions": {"code": "50011", "msg": "Rate limit", "data": []}}, "50011 Rate limit"),
        (binance(isolated=False), "its margin is cross, that of this bundle isolated"),
        (okx(mgnMode="cross", margin=""), "its margin is cross"),
        (bybit(positionIdx="x"), "hedge mode"),
        (changed(bybit(), 1, list=None), "the answers lack the list of positions"),
        (
            changed(bybit(), 1, list=bybit()[1]["result"]["list"] * 20, nextPageCursor="a"),
            "lack further pages",
        ),
        (changed(bybit(), 1, list=bybit()[1]["result"]["list"] * 2), "two open positions in BTCUSDT"),
        (changed(bybit(), 0, list=[{"coin": None}]), "the answers lack USDT"),
        (changed(bybit(), 0, list=[{"coin": ["x"]}]), "the answers lack USDT"),
        ([okx()["balance"], {"code": "0", "data": None}], "the answers lack the list of positions"),
        ([{"code": "0", "data": [{"details": None}]}, okx()["positions"]], "the answers lack USDT"),
        ({"code": -2015, "msg": "Invalid API-key"}, "refused the request: -2015 Invalid API-key"),
        ([], "a list that holds no answers"),
        ([1], "a list that holds no answers"),
        (7, "neither a mapping nor the path"),
    ],
)
def test_what_is_partial_or_of_another_mode_is_refused(given, words):
    with pytest.raises(BundleError, match=words):
        load_account(given, manifest())


def test_an_answer_without_open_positions_is_flat_and_a_missing_one_is_not():
    answers = bybit()
    answers[1]["result"]["list"] = []
    assert load_account(answers, manifest())["positions"] == {}


def test_version_3_of_binances_account_is_refused_with_the_one_that_holds_entry_prices():
    answer = binance()
    for row in answer["positions"]:
        del row["entryPrice"], row["leverage"]
    with pytest.raises(BundleError, match=r"which version 3 does not return; give GET /fapi/v2/account"):
        load_account(answer, manifest())


@pytest.mark.parametrize(
    ("instrument", "named"),
    [("BTC-USDT", "BTC-USDT"), ("BTC-USDT-250627", "BTC-USDT-250627"), ("BTC-USD-SWAP", "BTCUSD")],
)
def test_a_spot_margin_a_dated_and_a_coin_position_of_okx_are_not_taken_for_the_swap(instrument, named):
    with pytest.raises(BundleError, match=f"a position in '{named}', which this bundle does not decide on"):
        load_account(okx(instId=instrument), manifest())

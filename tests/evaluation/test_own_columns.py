"""Columns of a user's table: known when the table says, held until the next row, refused with file and line."""

import numpy as np
import pytest

from gearing.evaluation.own_columns import columns_from_file
from gearing.features.feature import forget_feature, get_feature
from gearing.market import synthetic_market


@pytest.fixture(scope="module")
def market():
    return synthetic_market("market-b", seed=1, years=0.02)  # from 2020-01-01 00:00, 175 bars of 1h


@pytest.fixture
def write(tmp_path):
    """Register the columns of a table with this text; the features are forgotten afterwards."""
    names = []

    def register(text, name="mine.csv"):
        path = tmp_path / name
        path.write_text(text)
        names.extend(columns_from_file(path))
        return path

    yield register
    for name in dict.fromkeys(names):
        forget_feature(name)


def test_a_value_is_known_from_its_time_on_and_holds_until_the_next(write, market):
    write("time,own_side\n2020-01-01T05:00,1\n2020-01-01T07:30,-1\n2020-01-20,0\n")
    values = get_feature("own_side")(market)[:, 0]
    # Bar k closes at (k + 1) h. Known from 05:00: closes at 5, 6 and 7, bars 4 to 6. From 07:30: the close at 8.
    assert np.isnan(values[:4]).all()
    assert values[4:7].tolist() == [1.0, 1.0, 1.0]
    assert (values[7:] == -1.0).all()


def test_a_row_of_a_bar_is_known_at_its_close(write, market):
    rows = "\n".join(f"{1_577_836_800 + 3_600 * k},{k}" for k in range(175))  # 2020-01-01 in seconds
    write(f"open_time,own_number\n{rows}\n")
    assert get_feature("own_number")(market)[:, 0].tolist() == list(range(175))


def test_contracts_are_told_apart(write):
    both = synthetic_market("market-b", seed=1, years=0.02, contracts=("BTCUSDT", "ETHUSDT"))
    rows = [f"2020-01-0{day},{symbol},{sign * day}" for day in range(1, 9) for symbol, sign in
            (("ETHUSDT", -1), ("BTCUSDT", 1))]  # fmt: skip
    write("time,symbol,own_of_each\n" + "\n".join(rows))
    assert get_feature("own_of_each")(both)[-1].tolist() == [8.0, -8.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("when,x\n2020-01-01,1\n", "has neither time nor open_time"),
        ("time,open_time,own_x\n2020-01-01,2020-01-01,1\n", "has both time and open_time"),
        ("time\n2020-01-01\n", "has no columns besides time"),
        ("time,own_x\n2020-01-01,1\n2020-01-01,2\n", "own_x has two rows for 2020-01-01 00:00"),
        ("time,own_x\n2020-01-01,1\n2020-01-02,abc\n", "mine.csv: own_x, line 3: 'abc' is not a number"),
        ("time,own_x\n2020-01-01,1\nsoon,2\n", "mine.csv: time, line 3"),
        ("time,own_x\n2020-01-01,inf\n", "own_x holds infinity"),
        ("time,log_return\n2020-01-01,1\n", "gearing has a feature 'log_return' already. Rename the column."),
        ("time,own x\n2020-01-01,1\n", "'own x' is no name of a column"),
        ("", "mine.csv is empty"),
    ],
)
def test_what_is_no_table_of_columns_is_refused_by_place(write, text, message):
    with pytest.raises(ValueError) as refused:
        write(text)
    assert message in str(refused.value)
    assert "mine.csv" in str(refused.value)


def test_a_table_that_ends_before_the_market_is_refused(write, market):
    write("time,own_late\n2020-01-01,1\n2020-01-02,2\n")  # one day apart: the last holds until 2020-01-03
    with pytest.raises(
        ValueError, match=r"ends on 2020-01-02 00:00, and the market goes on to 2020-01-08 07:00"
    ):
        get_feature("own_late")(market)


def test_a_table_without_rows_of_a_contract_is_refused(write, market):
    write("time,symbol,own_other\n2020-01-01,XUSDT,1\n")
    with pytest.raises(ValueError, match=r"has no rows of BTC-SYN; it has XUSDT"):
        get_feature("own_other")(market)

import gzip
import io
import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from gearing.storage.cells import numbers
from gearing.storage.tables import read_table, table_of

CSV = b"open_time,open,volume\n1735689600000,94000.5,1\n1735693200000,94000.6,2\n"


def zipped(**files):
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def stored(frame, method):
    held = io.BytesIO()
    getattr(frame, method)(held)
    return held.getvalue()


FRAME = pd.DataFrame(
    {"open_time": [1735689600000, 1735693200000], "open": [94000.5, 94000.6], "volume": [1, 2]}
)


@pytest.mark.parametrize(
    "content",
    [
        CSV, CSV.replace(b",", b";"), CSV.replace(b",", b"\t"), CSV.replace(b",", b"|"), CSV.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + CSV, CSV.decode().encode("utf-16"), gzip.compress(CSV), zipped(**{"BTCUSDT-1h.csv": CSV}),
        b"https://a.download.site\n" + CSV, CSV.replace(b"\n", b"\n\n"),
        CSV.replace(b"94000.5", b'"94,000.5"').replace(b"94000.6", b'"94,000.6"'),  # thousands
        CSV.replace(b",", b";").replace(b".", b","),  # decimal commas
        FRAME.to_json(orient="records").encode(), FRAME.to_json(orient="split").encode(), FRAME.to_json().encode(),
        FRAME.astype(str).to_json(orient="records").encode(),
        json.dumps({"code": "0", "data": FRAME.to_dict("records")}).encode(),
        json.dumps({"retCode": 0, "result": {"list": FRAME.to_dict("records")}}).encode(),
        stored(FRAME, "to_parquet"), stored(FRAME, "to_feather"), stored(FRAME.set_index("open_time"), "to_parquet"),
    ],
)  # fmt: skip
def test_a_table_is_the_same_in_every_format(content, tmp_path):
    (tmp_path / "a.txt").write_bytes(content)  # the name does not matter
    found = read_table(tmp_path / "a.txt")
    pd.testing.assert_frame_equal(found.reset_index(drop=True), FRAME, check_dtype=False)


def test_a_file_without_a_header_has_numbered_columns_and_rows_know_their_lines():
    found = table_of(CSV.split(b"\n", 1)[1], "a.csv")
    assert list(found.columns) == [0, 1, 2]
    assert found.index.tolist() == [1, 2]
    # joined files: the second header is line 4
    assert table_of(CSV + CSV, "a.csv").index.tolist() == [2, 3, 5, 6]


def test_cells_stay_as_they_are_written_where_that_is_wanted():
    assert table_of(b"a,b\n007,1.50\n", "a.csv", as_text=True).iloc[0].tolist() == ["007", "1.50"]
    assert table_of(b'[{"a": 1.50}]', "a.json", as_text=True).iloc[0].tolist() == ["1.50"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "a.x is empty"),
        (b"\xef\xbb\xbf\n", "a.x is empty"),
        (b"a,b\n", "has no rows under its header"),
        (CSV + b"1735693200000,5\n", "a.x, line 4: 2 cells, the first line has 3"),
        (b"a,a\n1,2\n", "a.x, line 1: the column 'a' stands twice"),
        (b'a,b\n"1,2\n3,4\n', "a.x, line 2: 1 cells"),
        (b"a,b\nZ\xfc,1\n", "a.x, line 2: byte 0xfc"),
        (b'o;v\n"1,234";1\n', "column o: '1,234' may have three decimals or part thousands"),
        (b'o;v\n"1,234.5";"1,5"\n', "some commas part thousands and others decimals"),
        (b"o;v\n94,5;1.2345\n", "column v: '1.2345'"),
        (gzip.compress(CSV)[:20], "damaged zip or gzip file"),
        (zipped(**{"a.csv": CSV})[:60], "damaged zip or gzip file"),
        (zipped(**{"a.csv": CSV, "b.csv": CSV}), "holds 2 such files"),
        (zipped(**{"[Content_Types].xml": b"x"}), "an Excel workbook"),
        (stored(FRAME, "to_parquet")[:200], "damaged or cut off"),
        (stored(FRAME, "to_feather")[:-50], "damaged or cut off"),
        (b"\x89HDF\r\n", "HDF5 is not read"),
        (b'[{"a":1},', "line 1, column 10: this is not JSON"),
        (b"[[1,2],[3]]", "row 1: 1 values, the first row has 2"),
        (b"[1,2]", "a table is a list of rows"),
        (b'[{"a":"\\ud800"}]', "half of a character"),
        (
            b'{"code":"50111","msg":"Invalid OK-ACCESS-KEY","data":[]}',
            "refused the request: 50111 Invalid OK-ACCESS-KEY",
        ),
    ],
)
def test_what_is_no_table_is_refused_with_its_file_and_place(content, message):
    with pytest.raises(ValueError, match=r"^a.x") as error:
        table_of(content, "a.x")
    assert message in str(error.value)


def test_beside_decimal_points_commas_part_thousands():
    found = table_of(b'o;v\n94000.5;"1,234"\n94000.6;"2,500"\n', "a.csv")
    assert found.to_numpy().tolist() == [[94000.5, 1234.0], [94000.6, 2500.0]]


def test_with_decimal_commas_points_part_thousands():
    found = table_of(b"o;v\n94.000,50;1.234\n94000,6;12\n", "a.csv")
    assert found.to_numpy().tolist() == [[94000.5, 1234.0], [94000.6, 12.0]]


def test_a_column_of_numbers_may_have_empty_cells_and_nothing_else():
    assert np.isnan(numbers(pd.Series(["", "null", None]), "a.csv: mark")).all()
    assert numbers([1, "2.5"], "a").tolist() == [1.0, 2.5]
    lines = pd.Series(["1", "Total"], index=pd.Index([2, 3], name="line"))
    with pytest.raises(ValueError, match=r"a.csv: open, line 3: 'Total' is not a number"):
        numbers(lines, "a.csv: open")
    with pytest.raises(ValueError, match=r"row 0: .*True.* is not a number"):
        numbers(pd.Series([True]), "a.csv: open")


def test_the_separator_that_excel_names_in_the_first_line_is_taken():
    comma = b"sep=;\nopen_time;open;volume\n01.01.2025 00:00;94000,5;1,5\n01.01.2025 01:00;94000,6;2,5\n"
    found = table_of(comma, "a.csv")
    assert found["open"].tolist() == [94000.5, 94000.6]
    assert found.index.tolist() == [3, 4]


def test_a_header_below_rows_of_a_file_without_one_names_the_columns_of_all():
    bare = CSV.split(b"\n", 1)[1]
    found = table_of(bare + CSV, "a.csv")
    assert found["open"].tolist() == [94000.5, 94000.6] * 2
    assert found.index.tolist() == [1, 2, 4, 5]

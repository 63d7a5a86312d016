import hashlib
import io
import multiprocessing
import os
import random
import signal
import threading
import time
import zipfile
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from gearing.market import load_market, synthetic_market
from gearing.market.history.archive import read_funding_rates, read_klines
from gearing.market.history.layout import read_bars, read_funding
from gearing.market.sources.download import ARCHIVE, archive_paths, build, fetch
from gearing.market.sources.fetching import Fetcher, FetchSettings

MONTHS = ("2023-01", "2023-02", "2023-03")
QUICK = {"first_wait": 0.001, "longest_wait": 0.01, "timeout": 5.0}


def csv_zip(name, rows, header=None):
    lines = ([header] if header else []) + [",".join(map(str, row)) for row in rows]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name.replace(".zip", ".csv"), "\n".join(lines) + "\n")
    return buffer.getvalue()


def month_rows(market, month, prices, volume=True):
    inside = market.open_time.astype("datetime64[M]") == np.datetime64(month)
    stamps = market.open_time[inside].astype(np.int64)
    return [
        (t, *p, v if volume else 0, t + 3_599_999, 0, 0, 0, 0, 0)
        for t, p, v in zip(stamps, prices[inside, 0], market.volume[inside, 0], strict=True)
    ]


@pytest.fixture(scope="module")
def market():
    shifted = synthetic_market("market-b", seed=1, years=90 / 365, contracts=("BTCUSDT",))
    move = np.datetime64("2023-01-01", "ms") - shifted.open_time[0]
    rows = shifted.settlements.copy()
    rows["time"] += move
    return shifted.replace(open_time=shifted.open_time + move, settlements=rows, truth=None)


@pytest.fixture(scope="module")
def archive(market):
    """The archive's files: three months, January without a header line, listed from 2023-01 on."""
    files = {}
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker,taker_quote,ignore"
    for month in MONTHS:
        kinds = {"klines": market.last, "markPriceKlines": market.mark, "indexPriceKlines": market.index}
        for kind, prices in kinds.items():
            name = f"BTCUSDT-1h-{month}.zip"
            rows = month_rows(market, month, prices, volume=kind == "klines")
            path = f"data/futures/um/monthly/{kind}/BTCUSDT/1h/{name}"
            files[path] = csv_zip(name, rows, None if month == "2023-01" else header)
        inside = market.settlements["time"].astype("datetime64[M]") == np.datetime64(month)
        rates = [(int(s["time"].astype(np.int64)) + 3, 8, s["rate"]) for s in market.settlements[inside]]
        name = f"BTCUSDT-fundingRate-{month}.zip"
        columns = "calc_time,funding_interval_hours,last_funding_rate"
        files[f"data/futures/um/monthly/fundingRate/BTCUSDT/{name}"] = csv_zip(name, rates, columns)
    name = "BTCUSDT-metrics-2023-01-01.zip"
    metrics = csv_zip(name, [("2023-01-01 00:00:00", "BTCUSDT", 1.5)], "create_time,symbol,sum_open_interest")
    files[f"data/futures/um/daily/metrics/BTCUSDT/{name}"] = metrics
    for path, content in list(files.items()):
        listed = f"{hashlib.sha256(content).hexdigest()}  {path.rsplit('/', 1)[1]}\n"
        files[path + ".CHECKSUM"] = listed.encode()
    return files


class Server:
    """A loopback archive; ``fault(path, n)`` names what goes wrong with the n-th request of a path."""

    def __init__(self, files):
        self.files, self.fault, self.requests = files, lambda path, n: None, Counter()
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.lstrip("/")
                outer.requests[path] += 1
                outer.answer(self, path, outer.fault(path, outer.requests[path]))

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def answer(self, handler, path, fault):
        content = self.files.get(path)
        if content is None or fault == "404":
            return self.send(handler, 404, b"")
        if fault in ("429", "503"):
            return self.send(handler, int(fault), b"", {"Retry-After": "0.001"})
        if fault == "403":
            return self.send(handler, 403, b"")
        if fault == "slow":
            self.closing.wait(30)
        if fault == "wrong":
            content = content[:-1] + bytes([content[-1] ^ 1])
        try:
            if fault == "truncated":
                return self.send(
                    handler, 200, content[: len(content) // 2], {"Content-Length": str(len(content))}
                )
            if fault == "dribble":
                handler.send_response(200)
                handler.send_header("Content-Length", str(len(content)))
                handler.end_headers()
                for k in range(0, len(content), 4096):
                    handler.wfile.write(content[k : k + 4096])
                    time.sleep(0.001)
                return None
            return self.send(handler, 200, content)
        except OSError:  # the client has gone
            return None

    @staticmethod
    def send(handler, status, body, headers=None):
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def server(archive):
    server = Server(archive)
    yield server
    server.closing.set()
    server.http.shutdown()
    server.http.server_close()


def run(server, folder, start="2023-01-01", end="2023-04-01", **options):
    settings = FetchSettings(**({"base_url": server.url, "workers": 3} | QUICK | options.pop("settings", {})))
    return fetch("BTCUSDT", folder, "1h", start, end, settings=settings, **options)


def assert_whole(folder, market):
    home = folder / "binance-um" / "BTCUSDT"
    bars, mark = read_bars(home / "1h.parquet"), read_bars(home / "mark-1h.parquet")
    np.testing.assert_array_equal(bars.open_time, market.open_time)
    np.testing.assert_array_equal(bars.prices, market.last[:, 0])
    np.testing.assert_array_equal(bars.volume, market.volume[:, 0])
    np.testing.assert_array_equal(mark.prices, market.mark[:, 0])
    funding = read_funding(home / "funding.parquet")
    np.testing.assert_array_equal(funding["time"], market.settlements["time"])
    np.testing.assert_array_equal(funding["rate"], market.settlements["rate"])


def test_what_the_archive_holds_arrives_whole_and_loads(server, tmp_path, market):
    report = run(server, tmp_path, kinds=("klines", "mark", "index", "funding"))
    assert report.exit_code == 0
    assert report.counts() == {"new": 12, "kept": 0, "absent": 0, "failed": 0}
    assert_whole(tmp_path, market)
    loaded = load_market(tmp_path, "BTCUSDT", missing_tiers="earliest")
    assert loaded.n_bars == market.n_bars
    np.testing.assert_array_equal(loaded.index, market.index)


def test_a_second_run_fetches_nothing_again(server, tmp_path, market):
    run(server, tmp_path)
    before = sum(server.requests.values())
    assert run(server, tmp_path).counts()["kept"] == 9
    assert sum(server.requests.values()) == before
    assert_whole(tmp_path, market)


def test_months_before_the_listing_are_absent_and_no_failure(server, tmp_path, market):
    report = run(server, tmp_path, start="2022-11-01")
    assert report.counts() == {"new": 9, "kept": 0, "absent": 6, "failed": 0}
    assert report.exit_code == 0
    assert_whole(tmp_path, market)


def test_a_contract_of_which_the_archive_has_nothing_is_a_failure(server, tmp_path):
    settings = FetchSettings(server.url, **QUICK)
    report = fetch(["BTCUSDT", "BTCUSDTT"], tmp_path, "1h", "2023-01-01", "2023-04-01", settings=settings)
    assert report.unknown == ("BTCUSDTT",)
    assert report.exit_code == 1
    assert report.to_dict()["unknown"] == ["BTCUSDTT"]


@pytest.mark.parametrize("fault", ["truncated", "wrong", "429", "503"])
def test_every_kind_of_passing_trouble_is_overcome(server, tmp_path, market, fault):
    server.fault = lambda path, n: fault if n == 1 else None
    report = run(server, tmp_path)
    assert report.exit_code == 0, report.failed
    assert_whole(tmp_path, market)


def test_a_request_without_a_response_is_sent_again(server, tmp_path, market):
    silent = "data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2023-02.zip"
    server.fault = lambda path, n: "slow" if path == silent and n == 1 else None
    report = run(server, tmp_path, settings={"timeout": 1.0})
    assert report.exit_code == 0, report.failed
    assert server.requests[silent] > 1
    assert_whole(tmp_path, market)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("truncated", "after 3 tries"),
        ("wrong", "differs from the listed"),
        ("429", "status 429 after 3 tries"),
        ("403", "status 403; check the base address"),
    ],
)
def test_lasting_trouble_fails_that_file_only_and_leaves_nothing_of_it(server, tmp_path, fault, words):
    sick = "data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2023-02.zip"
    server.fault = lambda path, n: fault if path == sick else None
    report = run(server, tmp_path, settings={"retries": 2})
    assert [o.path for o in report.failed] == [sick]
    assert words in report.failed[0].detail
    assert report.exit_code == 1
    assert not (tmp_path / ARCHIVE / sick).exists()
    # the month is a gap, which loading would refuse, not a half file that reads as whole
    bars = read_bars(tmp_path / "binance-um" / "BTCUSDT" / "1h.parquet")
    assert not (bars.open_time.astype("datetime64[M]") == np.datetime64("2023-02")).any()


def test_a_file_without_a_checksum_is_not_trusted(server, tmp_path):
    server.fault = lambda path, n: (
        "404" if path.endswith("klines/BTCUSDT/1h/BTCUSDT-1h-2023-01.zip.CHECKSUM") else None
    )
    assert "no checksum" in run(server, tmp_path).failed[0].detail


def test_waits_double_up_to_their_bound_and_all_workers_rest_when_the_server_says_so(server, tmp_path):
    waits = []
    settings = FetchSettings(base_url=server.url, retries=5, first_wait=1.0, longest_wait=6.0)
    server.fault = lambda path, n: "503"
    outcome = Fetcher(tmp_path, settings, sleep=waits.append).fetch(next(iter(server.files)))
    assert outcome.state == "failed"
    assert [w for w in waits if w >= 1.0] == [1.0, 2.0, 4.0, 6.0, 6.0]


def test_rows_that_only_the_parquet_file_has_are_kept(server, tmp_path, market):
    run(server, tmp_path, end="2023-02-01")
    for path in (tmp_path / ARCHIVE).rglob("*2023-01.zip"):
        path.unlink()
    server.files = {p: c for p, c in server.files.items() if "2023-01" not in p}
    run(server, tmp_path)
    assert_whole(tmp_path, market)


def test_daily_files_stand_in_for_a_month_that_is_not_over(market):
    from datetime import date

    paths = archive_paths("klines", "BTCUSDT", "1h", date(2023, 1, 1), date(2023, 2, 3))
    assert [p.rsplit("/", 1)[1] for p in paths] == [
        "BTCUSDT-1h-2023-01.zip",
        "BTCUSDT-1h-2023-02-01.zip",
        "BTCUSDT-1h-2023-02-02.zip",
    ]


def test_a_recent_month_without_a_monthly_file_comes_day_by_day(server, tmp_path, market):
    missing = "data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2023-03.zip"
    server.files = {p: c for p, c in server.files.items() if not p.startswith(missing)}
    for rows in np.split(np.arange(59 * 24, 90 * 24), 31):  # the days of March
        day = str(market.open_time[rows[0]].astype("datetime64[D]"))
        part = market.between(day, market.close_time[rows[-1]])
        name = f"BTCUSDT-1h-{day}.zip"
        content = csv_zip(name, month_rows(part, "2023-03", part.last))
        path = f"data/futures/um/daily/klines/BTCUSDT/1h/{name}"
        server.files |= {path: content, f"{path}.CHECKSUM": hashlib.sha256(content).hexdigest().encode()}
    report = run(server, tmp_path, end="2023-04-01", kinds=("klines", "mark", "funding"))
    assert report.counts() == {"new": 8 + 31, "kept": 0, "absent": 0, "failed": 0}
    assert_whole(tmp_path, market)


def test_other_kinds_are_kept_as_they_are(server, tmp_path):
    report = run(server, tmp_path, end="2023-01-03", kinds=("metrics",))
    assert report.counts()["absent"] == 1  # the second day
    table = pd.read_parquet(tmp_path / "binance-um" / "BTCUSDT" / "metrics.parquet")
    assert table["sum_open_interest"].tolist() == [1.5]


def test_stamps_in_microseconds_and_header_lines_are_read_alike():
    row = "1672531200000,1,2,0.5,1.5,10,1672534799999,0,0,0,0,0"
    plain = read_klines(row.encode(), "x")
    names = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_quote,ignore"
    micro = read_klines(f"{names}\n{row.replace('1672531200000', '1672531200000000')}".encode(), "x")
    assert plain.open_time[0] == micro.open_time[0] == np.datetime64("2023-01-01")
    rates = read_funding_rates(
        b"calc_time,funding_interval_hours,last_funding_rate\n1672531200007,8,0.0001", "x"
    )
    assert rates["time"][0] == np.datetime64("2023-01-01")


def test_parts_that_a_killed_run_left_are_removed_wherever_they_lie(server, tmp_path):
    gone = multiprocessing.get_context("fork").Process(target=int)
    gone.start()
    gone.join()
    left = tmp_path / "binance-um" / "BTCUSDT" / f".1h.parquet.{gone.pid}.part"
    living = tmp_path / ARCHIVE / f".x.zip.{os.getpid()}.part"
    for path in (left, living):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    run(server, tmp_path)
    assert not left.exists()
    assert living.exists()


def test_a_damaged_zip_says_so():
    with pytest.raises(ValueError, match="damaged zip"):
        read_klines(b"PK\x03\x04 broken", "some.zip")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kinds": ("trades",)}, "no data kind trades"),
        ({"venue": "okx-swap"}, "no public archive"),
        ({"start": "2023-04-01"}, "no day is in"),
    ],
)
def test_wrong_requests_are_refused(server, tmp_path, options, words):
    with pytest.raises(ValueError, match=words):
        run(server, tmp_path, **options)


def test_real_archive_files_are_read(real_history):
    path = real_history / "vision-format" / "futures-um" / "FILUSDT-1m-2023-08.zip"
    bars = read_klines(path.read_bytes(), str(path))
    assert bars.open_time.size == 31 * 1440
    stored = read_bars(real_history / "binance-um" / "FILUSDT" / "1m.parquet", "2023-08-01", "2023-09-01")
    np.testing.assert_array_equal(bars.prices, stored.prices)


def _child(url, folder):
    settings = FetchSettings(base_url=url, workers=3, **QUICK)
    fetch("BTCUSDT", folder, "1h", "2023-01-01", "2023-04-01", settings=settings)


@pytest.mark.slow
def test_killed_at_a_hundred_random_moments_nothing_is_lost_or_wrong(server, tmp_path, archive, market):
    server.fault = lambda path, n: "dribble"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["gearing.market.sources.download"])
    draw, kills, finished = random.Random(5), 0, 0
    while kills < 100:
        process = context.Process(target=_child, args=(server.url, tmp_path))
        process.start()
        process.join(draw.uniform(0.02, 0.35))
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            kills += 1
        else:
            finished += 1
            for path in (tmp_path / ARCHIVE).rglob("*.zip"):  # begin again
                path.unlink()
        process.join()
        for path in (tmp_path / ARCHIVE).rglob("*.zip"):  # whatever is there is whole
            assert path.read_bytes() == archive[path.relative_to(tmp_path / ARCHIVE).as_posix()]
        for path in tmp_path.glob("binance-um/*/*.parquet"):
            pd.read_parquet(path)
    report = run(server, tmp_path)
    assert report.exit_code == 0
    assert_whole(tmp_path, market)
    assert not list(tmp_path.rglob("*.part"))


def test_a_stored_zip_that_rots_is_found_and_fetched_again(server, tmp_path, market):
    run(server, tmp_path)
    sick = "data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2023-02.zip"
    path = tmp_path / ARCHIVE / sick
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert run(server, tmp_path).counts() == {"new": 1, "kept": 8, "absent": 0, "failed": 0}
    assert_whole(tmp_path, market)
    # one without a stored checksum, of an earlier version: the checksums inside the zip are tested
    path.with_name(path.name + ".CHECKSUM").unlink()
    assert run(server, tmp_path).counts()["kept"] == 9
    path.write_bytes(content)
    assert run(server, tmp_path).counts()["new"] == 1
    path.write_bytes(b"")
    assert run(server, tmp_path).counts()["new"] == 1
    assert_whole(tmp_path, market)


def test_a_month_that_the_archive_lacks_inside_the_span_is_a_hole_by_its_days(server, tmp_path):
    lost = "data/futures/um/monthly/klines/BTCUSDT/1h/BTCUSDT-1h-2023-02.zip"
    server.files = {p: c for p, c in server.files.items() if not p.startswith(lost)}
    report = run(server, tmp_path, start="2022-11-01")
    assert [str(hole) for hole in report.missing] == ["BTCUSDT klines: nothing from 2023-02-01 to 2023-03-01"]
    assert report.exit_code == 1
    assert report.to_dict()["missing"] == [
        {"symbol": "BTCUSDT", "kind": "klines", "first": "2023-02-01", "end": "2023-03-01"}
    ]
    accepted = run(server, tmp_path, allow_missing=True)
    assert (accepted.exit_code, len(accepted.missing)) == (0, 1)


def test_a_kind_that_begins_or_ends_before_the_others_has_holes(server, tmp_path):
    def lost(path):
        return ("markPrice" in path and "2023-01" in path) or (
            "fundingRate" in path and "2023-01" not in path
        )

    server.files = {p: c for p, c in server.files.items() if not lost(p)}
    assert [str(hole) for hole in run(server, tmp_path).missing] == [
        "BTCUSDT mark: nothing from 2023-01-01 to 2023-02-01",
        "BTCUSDT funding: nothing from 2023-02-01 to 2023-04-01",
    ]


def test_the_end_of_a_contract_before_the_end_of_the_period_is_said(server, tmp_path):
    report = run(server, tmp_path, end="2023-06-01", kinds=("klines",))
    assert [str(hole) for hole in report.missing] == ["BTCUSDT klines: nothing from 2023-04-01 to 2023-06-01"]


@pytest.mark.parametrize("days", [1, 2])
def test_what_is_published_in_some_days_is_no_hole(days):
    from datetime import UTC, datetime, timedelta

    from gearing.market.sources.download import holes
    from gearing.market.sources.fetching import Outcome

    today = datetime.now(UTC).date()
    stem = "data/futures/um/daily/klines/BTCUSDT/1h/BTCUSDT-1h-"
    outcomes = [
        Outcome(f"{stem}{today - timedelta(days=9)}.zip", "new"),
        Outcome(f"{stem}{today - timedelta(days=8)}.zip", "absent"),
        Outcome(f"{stem}{today - timedelta(days=days)}.zip", "absent"),
    ]
    found = holes(outcomes, "BTCUSDT", ("klines",), "1h")
    assert [hole.first for hole in found] == [str(today - timedelta(days=8))]


def test_a_server_that_is_busy_for_ever_ends_after_a_stated_time(server, tmp_path):
    server.fault = lambda path, n: "429"
    begun = time.monotonic()
    report = run(server, tmp_path, settings={"retries": 10**6, "longest_time": 0.5})
    assert time.monotonic() - begun < 20.0
    assert len(report.failed) == 9
    words = " ".join(outcome.detail for outcome in report.failed)
    assert "0.5 seconds are the longest time for one file" in words
    assert "no file came for 0.5 seconds, so the rest was given up" in words


def test_after_some_failures_in_a_row_the_rest_is_given_up(server, tmp_path):
    server.fault = lambda path, n: "403"
    report = run(server, tmp_path, settings={"most_failures": 3, "workers": 1})
    words = [outcome.detail for outcome in report.failed]
    assert sum("status 403" in word for word in words) == 3
    assert sum("3 files in a row failed, so the rest was given up" in word for word in words) == 6
    server.fault = lambda path, n: None
    assert run(server, tmp_path).exit_code == 0


def test_an_answer_that_is_no_checksum_is_named(server, tmp_path):
    server.files = {p: b"<html>log in" if p.endswith(".CHECKSUM") else c for p, c in server.files.items()}
    report = run(server, tmp_path, settings={"retries": 1})
    assert "what came for .CHECKSUM is no checksum (a proxy's or a login page?)" in report.failed[0].detail


@pytest.mark.parametrize("symbol", ["../../x", "/etc/x", "a/b", "..", "", "C:\\x", "nul", "x\x00"])
def test_a_symbol_that_cannot_name_a_folder_is_refused_before_anything_is_fetched(server, tmp_path, symbol):
    settings = FetchSettings(server.url, **QUICK)
    with pytest.raises(ValueError, match=r"the contract .* cannot name a file or a folder"):
        fetch(["BTCUSDT", symbol], tmp_path / "data", "1h", "2023-01-01", "2023-04-01", settings=settings)
    assert not server.requests
    assert not list(tmp_path.iterdir())


def test_a_contract_that_is_given_twice_is_fetched_once(server, tmp_path):
    settings = FetchSettings(server.url, **QUICK)
    report = fetch(["BTCUSDT", "BTCUSDT"], tmp_path, "1h", "2023-01-01", "2023-04-01", settings=settings)
    assert report.counts()["new"] == 9
    assert max(server.requests.values()) == 1


def test_a_small_zip_that_unpacks_to_gigabytes_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.csv", "w") as member:
        for _ in range(300):
            member.write(b"0" * 2**20)
    assert len(buffer.getvalue()) < 2**20
    with pytest.raises(ValueError, match=r"some\.zip: x\.csv unpacks to more than 268,435,456 bytes"):
        read_klines(buffer.getvalue(), "some.zip")


def test_interrupting_ends_at_once_and_leaves_whole_files(server, tmp_path, market):
    server.fault = lambda path, n: "503" if "2023-03" in path else None

    def interrupt(outcome, done, total):
        if done == 4:
            raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(server, tmp_path, settings={"first_wait": 30.0, "longest_wait": 30.0}, progress=interrupt)
    assert time.monotonic() - begun < 15.0
    server.fault = lambda path, n: None
    assert run(server, tmp_path).exit_code == 0
    assert_whole(tmp_path, market)


@pytest.mark.parametrize(
    ("kind", "folder"), [("klines", "klines/BTCUSDT/1h"), ("funding", "fundingRate/BTCUSDT")]
)
def test_an_archive_file_that_holds_another_month_is_refused(server, tmp_path, archive, kind, folder):
    start = f"data/futures/um/monthly/{folder}/BTCUSDT-{'1h' if kind == 'klines' else 'fundingRate'}-"
    for month in ("2023-01", "2023-02"):
        path = tmp_path / ARCHIVE / f"{start}{month}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(archive[f"{start}2023-01.zip"])  # January's rows under both names
    with pytest.raises(
        ValueError, match=r"2023-02.zip: holds rows from 2023-01-01 00:00 to 2023-01-31 .*none of the"
    ):
        build(tmp_path, "binance-um", "BTCUSDT", kind, "1h")


@pytest.mark.parametrize("request_", [{"symbols": []}, {"symbols": "BTCUSDT", "kinds": ()}])
def test_a_request_of_nothing_is_refused(tmp_path, request_):
    with pytest.raises(ValueError, match="name at least one contract and one kind"):
        fetch(folder=tmp_path, **request_)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"workers": 0}, "workers is 0; it must be at least 1"),
        ({"retries": -1}, "retries is -1"),
        ({"timeout": 0.0}, "timeout is 0.0; it must be positive"),
        ({"base_url": "data.binance.vision"}, "begins with http"),
    ],
)
def test_impossible_settings_of_a_download_are_refused_by_name(settings, words):
    with pytest.raises(ValueError, match=words):
        FetchSettings(**settings)

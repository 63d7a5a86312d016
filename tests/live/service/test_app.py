import json
import math
import shutil
import subprocess
import sys
import threading

import pytest
from tests.live.service import cases

from gearing.export.live.journal import read_journal
from gearing.export.runtime import BundleError, load_bundle
from gearing.live.service.app import finite
from gearing.live.service.running import read_token
from gearing.live.service.settings import is_loopback, served

pytest.importorskip("fastapi", reason="the service needs the extra 'serve'")
pytest.importorskip("prometheus_client", reason="the service needs the extra 'serve'")
from starlette.testclient import TestClient

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    return cases.bundle(folder / "four"), cases.bundle(folder / "two", 2.0)


@pytest.fixture
def client(bundles, tmp_path):
    with TestClient(cases.application(bundles, tmp_path / "logs"), headers=cases.HEADERS) as found:
        yield found


def logged(folder):
    return [line for path in sorted(folder.rglob("*.jsonl")) for line in read_journal(path)]


def test_a_decision_is_that_of_the_bundle_and_in_the_log_before_it_is_answered(client, bundles, tmp_path):
    answer = client.post("/bundles/four/decide", json=cases.body(20))
    assert answer.status_code == 200
    expected = load_bundle(bundles[0]).decide(
        cases.bars(20), cases.FLAT, now=str(cases.PART.open_time[480]), fallback="hold"
    )
    assert answer.json() == json.loads(json.dumps(finite(expected.as_dict())))
    lines = logged(tmp_path / "logs" / "four")
    assert [line["kind"] for line in lines] == ["begin", "decision"]
    assert finite(lines[-1]["decision"]) == answer.json()


def test_bundles_stand_side_by_side(client):
    leverages = [
        client.post(f"/bundles/{name}/decide", json=cases.body(20)).json()["policy_leverage"]["BTC-SYN"]
        for name in ("four", "two")
    ]
    assert leverages == [4.0, 2.0]
    assert [one["name"] for one in client.get("/bundles").json()] == ["four", "two"]


def test_a_decision_is_taken_once(client, tmp_path):
    first, again = (client.post("/bundles/four/decide", json=cases.body(20)).json() for _ in range(2))
    assert again == first
    assert sum(line["kind"] == "decision" for line in logged(tmp_path / "logs")) == 1
    assert client.get("/bundles/four/last").json() == first


def test_a_refused_decision_says_why_and_counts(client):
    body = cases.body(20)
    body["bars"][-1]["close"] *= 2.0
    body["bars"][-1]["high"] *= 2.0
    answer = client.post("/bundles/four/decide", json=body).json()
    assert [one["code"] for one in answer["refusals"]] == ["jump"]
    assert answer["fallback"] == "hold"
    metrics = client.get("/metrics").text
    assert 'gearing_refusals_total{bundle="four",code="jump"} 1.0' in metrics
    assert 'gearing_decisions_total{bundle="four",outcome="refused"} 1.0' in metrics


def test_without_the_token_nothing_but_health_is_answered(bundles, tmp_path):
    with TestClient(cases.application(bundles, tmp_path)) as client:
        assert client.get("/health").json()["status"] == "ok"
        assert client.get("/ready").json()["status"] == "ready"
        for path in ("/bundles", "/metrics", "/bundles/four", "/bundles/four/last"):
            answer = client.get(path)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
        wrong = {"Authorization": "Bearer another"}
        assert client.post("/bundles/four/decide", json=cases.body(20), headers=wrong).status_code == 401


@pytest.mark.parametrize(
    ("change", "status", "message"),
    [
        ({"account": {}}, 422, "wallet_balance"),
        ({"account": {"wallet_balance": 1e4}}, 422, "unknown is not flat"),
        ({"account": "account.json"}, 422, "account"),
        ({"bars": "/etc/passwd"}, 422, "bars: must be a list of rows or an object of columns"),
        ({"extra": 1}, 422, "extra: is no field of this request"),
        ({"digest": "0" * 64}, 409, "has the digest"),
        ({"digest": "no"}, 422, "digest: is no digest; give 64 hexadecimal digits"),
        ({"pending": [{"contract": "DOGE", "quantity": 1}]}, 422, "pending"),
    ],
)
def test_unusable_input_is_refused_in_one_message(client, change, status, message):
    answer = client.post("/bundles/four/decide", json={**cases.body(20), **change})
    assert answer.status_code == status
    assert message in answer.json()["error"]["message"]
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"nul", b"\xff\xfe", b'"' + b"x" * 1000, b"[" * 100_000, b'{"a":' * 50_000, b"1e999"],
)
def test_malformed_bodies_are_refused(client, content):
    headers = {"Content-Type": "application/json"}
    answer = client.post("/bundles/four/decide", content=content, headers=headers)
    assert answer.status_code in (400, 422)
    assert set(answer.json()) == {"error"}


def test_numbers_that_are_none_are_refused_or_answered_as_json(client):
    text = json.dumps(cases.body(20)).replace('"volume": ', '"volume": NaN, "ignored": ', 1)
    headers = {"Content-Type": "application/json"}
    answer = client.post("/bundles/four/decide", content=text, headers=headers)
    assert answer.status_code == 200
    assert answer.json()["refusals"]
    json.loads(answer.text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert finite([math.nan, {"a": math.inf}]) == [None, {"a": None}]


def test_bodies_and_tables_beyond_their_bounds_are_refused_unread(bundles, tmp_path):
    with TestClient(
        cases.application(bundles, tmp_path, largest_body=50_000, most_bars=100), headers=cases.HEADERS
    ) as client:
        small = client.post("/bundles/four/decide", json=cases.body(20))
        assert small.status_code == 200
        many = client.post("/bundles/four/decide", json=cases.body(20, bars=[[1]] * 101))
        assert (many.status_code, many.json()["error"]["code"]) == (413, "too-large")
        large = client.post("/bundles/four/decide", content=b" " * 50_001)
        assert large.status_code == 413
        assert "50,000 bytes" in large.json()["error"]["message"]

        def streamed():  # without a stated length
            for _ in range(60):
                yield b" " * 1_000

        assert client.post("/bundles/four/decide", content=streamed()).status_code == 413


def test_the_present_is_the_services_own(bundles, tmp_path):
    with TestClient(cases.application(bundles, tmp_path, any_time=False), headers=cases.HEADERS) as client:
        for now in ("2020-01-21", "last-bar", "soon", 5):
            answer = client.post("/bundles/four/decide", json=cases.body(20) | {"now": now})
            assert answer.status_code == 422, now
        stale = client.post("/bundles/four/decide", json=cases.body(20) | {"now": None}).json()
        assert [one["code"] for one in stale["refusals"]] == ["stale"]


def test_a_full_queue_turns_requests_away(bundles, tmp_path):
    app = cases.application(bundles[:1], tmp_path, queue=1)
    worker = app.state.service.workers["four"]
    gate = threading.Event()
    worker.submit(gate.wait)
    while worker.waiting:
        pass
    worker.submit(lambda: None)
    with TestClient(app, headers=cases.HEADERS) as client:
        answer = client.post("/bundles/four/decide", json=cases.body(20))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert client.get("/ready").status_code == 503
        gate.set()
        assert client.get("/health").status_code == 200


# ------------------------------------------------------------------------------------------------------- hot swap


def test_a_bundle_is_swapped_by_its_digest_only(bundles, tmp_path):
    place = shutil.copytree(bundles[0], tmp_path / "place")
    two = load_bundle(bundles[1]).digest
    with TestClient(cases.application([place], tmp_path / "logs"), headers=cases.HEADERS) as client:
        before = client.get("/bundles/place").json()["digest"]
        refused = client.post("/bundles/place/swap", json={"digest": two})
        assert refused.status_code == 422
        assert client.get("/bundles/place").json()["digest"] == before
        shutil.rmtree(place)
        shutil.copytree(bundles[1], place)
        assert client.post("/bundles/place/decide", json=cases.body(20)).json()["digest"] == before
        assert client.post("/bundles/place/swap", json={"digest": two}).json()["digest"] == two
        after = client.post("/bundles/place/decide", json=cases.body(21) | {"digest": two}).json()
        assert after["policy_leverage"]["BTC-SYN"] == 2.0
        assert (
            client.post("/bundles/place/decide", json=cases.body(22) | {"digest": before}).status_code == 409
        )


def test_a_swap_does_not_end_a_halt(bundles, tmp_path):
    place = shutil.copytree(bundles[0], tmp_path / "place")
    two = load_bundle(bundles[1]).digest
    with TestClient(cases.application([place], tmp_path / "logs"), headers=cases.HEADERS) as client:
        client.post("/bundles/place/halt", json={"person": "Ada", "reason": "a test"})
        shutil.rmtree(place)
        shutil.copytree(bundles[1], place)
        assert client.post("/bundles/place/swap", json={"digest": two}).json()["state"] == "HALTED"
        answer = client.post("/bundles/place/decide", json=cases.body(20)).json()
        assert [one["code"] for one in answer["refusals"]] == ["halted"]
        resumed = client.post("/bundles/place/resume", json={"person": "Ada", "reason": "done"})
        assert resumed.json()["state"] == "ACTIVE"


# ------------------------------------------------------------------------------------------------------- settings


def test_names_and_digests_of_arguments():
    digest = "ab" * 32
    found = served(["runs/btc/bundle", "eth=runs/eth", f"runs/sol@{digest}"])
    assert [(one.name, str(one.folder), one.digest) for one in found] == [
        ("btc", "runs/btc/bundle", None), ("eth", "runs/eth", None), ("sol", "runs/sol", digest),
    ]  # fmt: skip


@pytest.mark.parametrize("arguments", [["a=x", "a=y"], ["../=x"], ["a b=x"], ["/"]])
def test_names_that_are_none_or_twice_are_refused(arguments):
    with pytest.raises(BundleError, match="NAME="):
        served(arguments)


def test_others_reach_the_service_with_a_token_only(tmp_path, monkeypatch):
    monkeypatch.delenv("GEARING_TOKEN", raising=False)
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "example.org")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    token, is_new = read_token(None, "127.0.0.1")
    assert is_new
    assert len(token) >= 32
    with pytest.raises(BundleError, match="others can reach"):
        read_token(None, "0.0.0.0")
    path = tmp_path / "token"
    path.write_text("short\n")
    with pytest.raises(BundleError, match="at least 16"):
        read_token(path, "127.0.0.1")
    path.write_text(f"{cases.TOKEN}\n")
    assert read_token(path, "0.0.0.0") == (cases.TOKEN, False)


def test_the_service_loads_nothing_heavy():
    code = (
        "import gearing.live.service.running, sys; "
        "print([m for m in ('numba', 'pandas', 'pyarrow', 'scipy', 'torch', 'sklearn') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"

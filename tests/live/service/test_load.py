"""The service under load, under malformed requests and killed: no wrong answer, no lost line of the log."""

import asyncio
import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.live.service import cases

from gearing.export.live.journal import read_journal
from gearing.export.runtime import load_bundle, replay
from gearing.live.service.app import finite

pytest.importorskip("uvicorn", reason="the service needs the extra 'serve'")
pytest.importorskip("prometheus_client", reason="the service needs the extra 'serve'")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return cases.bundle(tmp_path_factory.mktemp("load") / "four")


@pytest.fixture(scope="module")
def expected(bundle):
    """What the bundle decides on each account at each day, by equity."""
    chosen = load_bundle(bundle)
    return {
        equity: finite(
            chosen.decide(
                cases.bars(20), {"wallet_balance": equity, "positions": {}}, now=str(cases.PART.open_time[480]),
                fallback="hold",
            ).as_dict()
        )
        for equity in (5_000, 10_000, 20_000)
    }  # fmt: skip


@pytest.mark.parametrize("count", [60, pytest.param(1_000, marks=pytest.mark.slow)])
def test_a_thousand_requests_at_once_are_all_answered_rightly(count, bundle, expected, tmp_path):
    """Of three bundles side by side, each with its own account; every answer is that of its own bundle."""
    folders = [f"{name}={bundle}" for name in ("a", "b", "c")]
    accounts = dict(zip(("a", "b", "c"), expected, strict=True))

    async def ask(client, k):
        name = "abc"[k % 3]
        account = {"wallet_balance": accounts[name], "positions": {}}
        answer = await client.post(f"/bundles/{name}/decide", json=cases.body(20, account=account))
        return name, answer.status_code, answer.json()

    async def ask_all(address):
        limits = httpx.Limits(max_connections=1_000)
        async with httpx.AsyncClient(
            base_url=address, headers=cases.HEADERS, timeout=120.0, limits=limits
        ) as client:
            return await asyncio.gather(*(ask(client, k) for k in range(count)))

    with cases.Process(folders, tmp_path / "logs") as service:
        found = asyncio.run(ask_all(service.address))
    assert [status for _, status, _ in found] == [200] * count
    for name, _, answer in found:
        assert answer == json.loads(json.dumps(expected[accounts[name]]))
    for name in "abc":  # a decision is taken once, whoever asks
        (path,) = (tmp_path / "logs" / name).rglob("*.jsonl")
        assert [line["kind"] for line in read_journal(path)] == ["begin", "decision"]


def test_answers_of_a_service_that_is_killed_are_in_its_log(bundle, tmp_path):
    answers, stop = [], threading.Event()

    def ask(service, first):
        with httpx.Client(base_url=service.address, headers=cases.HEADERS, timeout=30.0) as client:
            for day in range(first, 39):
                account = {"wallet_balance": 10_000 + day, "positions": {}}
                if stop.is_set():
                    return
                try:
                    answer = client.post("/bundles/four/decide", json=cases.body(day, account=account))
                except httpx.TransportError:
                    return
                if answer.status_code == 200:
                    answers.append(answer.json())

    with cases.Process([bundle], tmp_path / "logs") as service, ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(ask, service, 4 + k) for k in range(4)]
        while len(answers) < 20:
            assert not all(one.done() for one in asking)
        service.kill()
        stop.set()
    (path,) = (tmp_path / "logs").rglob("*.jsonl")
    with cases.Process([bundle], tmp_path / "logs") as service:  # which sets a torn line aside
        last = httpx.get(f"{service.address}/bundles/four/last", headers=cases.HEADERS).json()
    lines = [finite(line["decision"]) for line in read_journal(path) if line["kind"] == "decision"]
    assert lines[-1] == last
    for answer in answers:
        assert answer in lines
    assert not replay(path, load_bundle(bundle)).differences


def test_garbage_on_the_wire_does_not_disturb_the_service(bundle, tmp_path):
    wire = [
        b"\x00" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /bundles/four/decide HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999\r\n\r\n",
        b"POST /bundles/four/decide HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-Long: " + b"b" * 70_000 + b"\r\n\r\n",
    ]
    with cases.Process([bundle], tmp_path / "logs") as service:
        for content in wire:
            with socket.create_connection(("127.0.0.1", service.port), 10.0) as line:
                line.sendall(content)
                first = line.recv(4_096)
                assert first == b"" or first.split()[1] in (b"400", b"404", b"413", b"431"), (
                    content[:60],
                    first,
                )
        assert httpx.get(f"{service.address}/health").status_code == 200

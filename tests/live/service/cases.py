"""A service of small bundles, in this process or in one of its own."""

import json
import os
import socket
import subprocess
import sys
import time

import httpx
from tests.export import cases as export_cases

from gearing.live.service.app import create_app
from gearing.live.service.settings import ServiceSettings, served
from gearing.live.service.worker import opened
from gearing.policies.rules import FixedLeverage

TOKEN = "a-token-of-this-test"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
PART = export_cases.market().rows(0, 24 * 40)
FLAT = {"wallet_balance": 10_000, "positions": {}}


def bars(day, count=60):
    """Hourly bars up to the midnight of a day of the market, as JSON rows."""
    table = export_cases.bar_table(PART.rows(24 * day - count, 24 * day))
    return json.loads(table.assign(open_time=table["open_time"].astype(str)).to_json(orient="records"))


def body(day, count=60, account=FLAT, **more):
    """A request at the midnight of a day."""
    return {"bars": bars(day, count), "account": account, "now": f"{PART.open_time[24 * day]}", **more}


def bundle(folder, leverage=4.0):
    """A bundle of a fixed leverage."""
    export_cases.small_bundle(folder, FixedLeverage(leverage), part=PART)
    return folder


def application(folders, logs, **settings):
    """The application of some bundles."""
    chosen = ServiceSettings(**{"token": TOKEN, "logs": logs, "any_time": True, **settings})
    return create_app(opened(served([str(folder) for folder in folders]), chosen), chosen)


class Process:
    """`gearing serve` in a process of its own."""

    def __init__(self, folders, logs, *more):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "gearing.cli", "serve", *map(str, folders), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--logs", str(logs), "--any-time", *more],
            env={**os.environ, "GEARING_TOKEN": TOKEN}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def __enter__(self):
        deadline = time.monotonic() + 120.0
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.address}/ready", timeout=5.0).status_code == 200:
                    return self
            except httpx.TransportError:
                assert self.process.poll() is None, self.process.stdout.read().decode()
                time.sleep(0.1)
        raise TimeoutError("the service did not start")

    def kill(self):
        """End it as the system does when memory is short."""
        self.process.kill()
        self.process.wait()

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(60.0)
        self.process.stdout.close()

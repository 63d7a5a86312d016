"""The service answers as its OpenAPI document says, to whatever fits it and to what does not."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("schemathesis", reason="schemathesis is not installed")
pytest.importorskip("fastapi", reason="the service needs the extra 'serve'")
pytest.importorskip("prometheus_client", reason="the service needs the extra 'serve'")
SCRIPT = Path(__file__).with_name("openapi_requests.py")


@pytest.mark.parametrize("count", [4, pytest.param(60, marks=pytest.mark.slow)])
def test_the_service_answers_as_its_document_says(count):
    found = subprocess.run([sys.executable, str(SCRIPT), str(count)], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout[-4_000:] + found.stderr[-4_000:]
    assert int(found.stdout.split()[-2]) >= 9

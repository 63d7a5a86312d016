"""Make requests from the service's OpenAPI document, in a process of its own; prints the failures.

Valid requests, invalid ones, with the token and with another. Apart from pytest, whose plugins schemathesis would join.
"""

import sys
import tempfile
from pathlib import Path

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.live.service import cases

# A request may fit the document and still hold no bars: 422 then, so acceptance of all that fits is not checked.
CHECKS = [content_type_conformance, response_schema_conformance, status_code_conformance, not_a_server_error]


def tried(document, count, check):
    """Make requests of every operation and check the answers; returns how many operations there are."""
    operations = [found.ok() for found in document.get_all_operations()]
    for operation in operations:

        @settings(
            max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True,
            database=None,
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def one(case):
            check(case)

        one()
    return len(operations)


def without_token(case):
    """Only health and readiness are answered; 503, because each call ends the application and its workers."""
    answer = case.call(headers={"Authorization": "Bearer wrong"})
    is_open = case.operation.path in ("/health", "/ready")
    assert answer.status_code in ((200, 503) if is_open else (401, 422)), case.operation.path


def main(count):
    """Try everything."""
    with tempfile.TemporaryDirectory() as folder:
        app = cases.application([cases.bundle(Path(folder) / "four")], Path(folder) / "logs")
        document = schemathesis.openapi.from_asgi("/openapi.json", app)
        found = tried(
            document, count, lambda case: case.call_and_validate(headers=cases.HEADERS, checks=CHECKS)
        )
        tried(document, max(1, count // 4), without_token)
    print(f"{found} operations")


if __name__ == "__main__":
    main(int(sys.argv[1]))

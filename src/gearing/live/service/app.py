"""The web application: routes, authentication, errors."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import Annotated, Any

import numpy as np
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException

from gearing.export.runtime import BundleError
from gearing.live.service.limits import BodyLimit
from gearing.live.service.metrics import CONTENT_TYPE, Metrics
from gearing.live.service.models import (
    BundleAnswer,
    DecideBody,
    DecisionAnswer,
    ErrorAnswer,
    PersonBody,
    StatusAnswer,
    SwapBody,
)
from gearing.live.service.settings import ServiceSettings
from gearing.live.service.worker import BusyError, Worker

log = logging.getLogger("gearing.service")
_TOLERANCE = 60.0  # seconds that the clock of a client may differ
_DESCRIPTION = (
    "Decisions of exported leverage policies. A decision is in the log, on disk, before it is answered. "
    "It lists calls and sends none."
)
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorAnswer, "description": text}
    for status, text in {
        400: "The body is no JSON.",
        401: "No token, or another one.",
        404: "No bundle of this name.",
        408: "The body came too slowly.",
        409: "Another bundle is loaded.",
        413: "The body is too large.",
        431: "Address and headers are too large.",
        422: "The input cannot be used; the message says why.",
        500: "A fault of the service.",
        503: "Too many requests wait, or the worker has ended.",
        504: "The decision takes too long; it may be made all the same, and is then in the log.",
    }.items()
}


class ServiceError(Exception):
    """An error that is answered as it is."""

    def __init__(self, status: int, code: str, message: str, **headers: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def create_app(workers: Mapping[str, Worker], settings: ServiceSettings) -> FastAPI:
    """The service of some bundles, by name.

    Parameters
    ----------
    workers : mapping of name to Worker
        Ended when the service ends.
    settings : ServiceSettings
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        for worker in workers.values():
            await asyncio.to_thread(worker.close)

    app = FastAPI(
        title="gearing", version=_version(), description=_DESCRIPTION, lifespan=lifespan, responses=_ERRORS
    )
    app.state.service = _Service(workers, settings)
    app.add_middleware(BodyLimit, largest=settings.largest_body, patience=settings.patience)
    _add_handlers(app)
    _add_open_routes(app)
    _add_routes(app)
    return app


def _version() -> str:
    from gearing.storage.digest import package_version

    return package_version()


class _Service:
    """Workers, settings and metrics of an application."""

    def __init__(self, workers: Mapping[str, Worker], settings: ServiceSettings):
        self.workers, self.settings, self.metrics = workers, settings, Metrics()

    def worker(self, name: str) -> Worker:
        """The worker of a bundle."""
        if name not in self.workers:
            raise ServiceError(404, "unknown-bundle", f"no bundle {name[:80]!r}; GET /bundles lists them.")
        return self.workers[name]

    async def run(self, worker: Worker, job: Callable[[], Any]) -> Any:
        """The result of a job in a worker's thread."""
        if not worker.is_alive:
            raise ServiceError(
                503, "ended", f"the worker of {worker.name} has ended; start the service again."
            )
        try:
            future: Future[Any] = worker.submit(job)
        except BusyError:
            raise ServiceError(
                503,
                "busy",
                f"{self.settings.queue:,} requests wait for {worker.name}; try again.",
                Retry_After="1",
            ) from None
        try:  # shielded: a decision that has begun is made and logged, whoever has gone
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(future)), self.settings.patience)
        except TimeoutError:
            future.cancel()
            raise ServiceError(
                504,
                "slow",
                f"{worker.name} did not decide within {self.settings.patience:g} seconds; see its log.",
            ) from None

    def moment(self, given: Any) -> Any:
        """The moment of a decision: the present, or one that was given and is allowed."""
        present = np.datetime64(round(time.time() * 1000), "ms")
        if given is None or self.settings.any_time:
            return present if given is None else given
        from gearing.export.reading.moment import read_moment

        moment = read_moment(given)
        apart = math.inf if moment is None else abs((moment - present) / np.timedelta64(1, "s"))
        if apart > _TOLERANCE:
            raise ServiceError(
                422, "now", f"now is {str(given)[:40]!r}, the service's clock shows {present}Z: leave it out, set your "
                "clock, or start the service with --any-time to decide on the past.",
            )  # fmt: skip
        return moment

    def check_size(self, rows: Any, what: str) -> None:
        """Refuse more rows than allowed."""
        count = max(map(len, rows.values()), default=0) if isinstance(rows, dict) else len(rows or ())
        if count > self.settings.most_bars:
            raise ServiceError(
                413, "too-large", f"{what}: {count:,} rows; at most {self.settings.most_bars:,} are read."
            )


async def _service(request: Request) -> _Service:
    found: _Service = request.app.state.service
    return found


_bearer = HTTPBearer(auto_error=False)


async def _authorised(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> None:
    token = (await _service(request)).settings.token
    if given is None or not hmac.compare_digest(given.credentials.encode(), token.encode()):
        raise ServiceError(
            401, "token", "give the service's token: Authorization: Bearer TOKEN.", WWW_Authenticate="Bearer"
        )


Service = Annotated[_Service, Depends(_service)]


def _add_handlers(app: FastAPI) -> None:
    """Errors, all in one form, and the count of requests."""

    @app.exception_handler(ServiceError)
    async def of_service(request: Request, error: ServiceError) -> JSONResponse:
        return _problem(error.status, error.code, error.message, error.headers)

    @app.exception_handler(BundleError)
    async def of_bundle(request: Request, error: BundleError) -> JSONResponse:
        return _problem(422, getattr(error, "code", "input"), str(error))

    @app.exception_handler(RequestValidationError)
    async def of_body(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            return _problem(400, "json", "the body is no JSON object; send one with bars and account.")
        return _problem(422, "body", f"{_rule(first)} GET /openapi.json describes it.")

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        return _problem(
            error.status_code, "request", f"{error.detail}. GET /openapi.json lists the routes.", headers
        )

    @app.exception_handler(Exception)
    async def of_fault(request: Request, error: Exception) -> JSONResponse:
        return _problem(
            500,
            "fault",
            f"{type(error).__name__}: a bug in gearing. The log of the service has its traceback.",
        )

    @app.middleware("http")
    async def counted(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        status = 500
        try:
            response = await follow(request)
            status = response.status_code
        finally:
            route = getattr(request.scope.get("route"), "path", "other")
            request.app.state.service.metrics.requests.labels(route, status).inc()
        return response


_ROWS, _TEXT = "must be a list of rows or an object of columns.", "must be a text of 1 to 500 characters."
_FIELDS = {
    "bars": _ROWS, "funding": _ROWS, "account": "must be an object, or a list of the venue's answers.",
    "pending": "must be a list of objects with contract and quantity.", "now": "must be a text, or whole milliseconds.",
    "digest": "is no digest; give 64 hexadecimal digits.", "person": _TEXT, "reason": _TEXT,
}  # fmt: skip


def _rule(problem: Mapping[str, Any]) -> str:
    """What is wrong with a field of a body, in this service's words."""
    field = str(next((part for part in problem["loc"] if part != "body"), ""))
    if problem["type"] == "missing":
        return f"{field or 'the body'}: is missing."
    if problem["type"] == "extra_forbidden":
        return f"{field}: is no field of this request."
    return f"{field or 'the body'}: {_FIELDS.get(field, 'must be an object.')}"


def _problem(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse(
        {"error": {"code": code, "message": message}}, status, headers=dict(headers) if headers else None
    )


def _add_open_routes(app: FastAPI) -> None:
    """What is answered without a token."""

    @app.get("/health", summary="Whether the service runs")
    async def health() -> StatusAnswer:
        return StatusAnswer(status="ok")

    @app.get("/ready", summary="Whether every bundle can decide")
    async def ready(service: Service, response: Response) -> StatusAnswer:
        problems = [
            f"the worker of {name} has ended" for name, w in service.workers.items() if not w.is_alive
        ]
        full = [name for name, w in service.workers.items() if w.waiting >= service.settings.queue]
        problems += [f"too many requests wait for {name}" for name in full]
        response.status_code = 503 if problems else 200
        return StatusAnswer(status="not ready" if problems else "ready", problems=problems)


def _add_routes(app: FastAPI) -> None:
    """What needs the token."""
    private = [Depends(_authorised)]

    @app.get("/metrics", summary="Metrics for Prometheus", dependencies=private, response_class=Response)
    async def metrics(service: Service) -> Response:
        return Response(service.metrics.text(service.workers), media_type=CONTENT_TYPE)

    @app.get("/bundles", summary="All bundles", dependencies=private)
    async def bundles(service: Service) -> list[BundleAnswer]:
        return [about(worker) for worker in service.workers.values()]

    @app.get("/bundles/{name}", summary="One bundle", dependencies=private)
    async def one_bundle(name: str, service: Service) -> BundleAnswer:
        return about(service.worker(name))

    @app.get("/bundles/{name}/last", summary="Its last decision", dependencies=private)
    async def last(name: str, service: Service) -> DecisionAnswer | None:
        found = service.worker(name).session.last
        return JSONResponse(None if found is None else finite(found.as_dict()))  # type: ignore[return-value]

    @app.post("/bundles/{name}/decide", summary="Decide", dependencies=private)
    async def decide(name: str, body: DecideBody, service: Service) -> DecisionAnswer:
        worker, begun = service.worker(name), time.perf_counter()
        service.check_size(body.bars, "bars")
        service.check_size(body.funding, "funding")
        moment = service.moment(body.now)
        decision = await service.run(worker, lambda: _decided(worker, body, moment))
        service.metrics.note(name, decision)
        service.metrics.seconds.labels(name).observe(time.perf_counter() - begun)
        return JSONResponse(decision)  # type: ignore[return-value]

    @app.post("/bundles/{name}/swap", summary="Take over the bundle in its folder", dependencies=private)
    async def swap(name: str, body: SwapBody, service: Service) -> BundleAnswer:
        worker = service.worker(name)
        await service.run(worker, lambda: worker.swap(body.digest))
        log.warning("%s: swapped to %s", name, body.digest)
        return about(worker)

    @app.post("/bundles/{name}/halt", summary="Halt: no order from now on", dependencies=private)
    async def halt(name: str, body: PersonBody, service: Service) -> BundleAnswer:
        worker = service.worker(name)
        await service.run(worker, lambda: worker.session.halt(body.person, body.reason))
        return about(worker)

    @app.post("/bundles/{name}/resume", summary="Leave REDUCING or HALTED", dependencies=private)
    async def resume(name: str, body: PersonBody, service: Service) -> BundleAnswer:
        worker = service.worker(name)
        await service.run(worker, lambda: worker.session.resume(body.person, body.reason))
        return about(worker)


def _decided(worker: Worker, body: DecideBody, moment: Any) -> dict[str, Any]:
    """A decision as plain values; in the worker's thread, so of the bundle that is loaded then."""
    if body.digest is not None and body.digest != worker.bundle.digest:
        raise ServiceError(
            409, "digest", f"{worker.name} has the digest {worker.bundle.digest}, not {body.digest}."
        )
    made = worker.session.decide(
        body.bars, body.account, body.funding, now=moment, pending=tuple(body.pending)
    )
    found: dict[str, Any] = finite(made.as_dict())
    return found


def about(worker: Worker) -> BundleAnswer:
    """What a worker serves."""
    manifest, last = worker.bundle.manifest, worker.session.last
    return BundleAnswer(
        name=worker.name,
        digest=worker.bundle.digest,
        policy=manifest.name,
        contracts=list(manifest.symbols),
        decision_interval=manifest.config.decision_interval,
        bar_seconds=manifest.bar / np.timedelta64(1, "s"),
        lookback_bars=worker.bundle.lookback_bars,
        state=str(worker.session.state),
        last_decision=None if last is None else last.as_dict()["time"],
        waiting=worker.waiting,
    )


def finite(value: Any) -> Any:
    """The same in types of JSON: a number that is not finite is null."""
    if isinstance(value, Mapping):
        return {str(key): finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    if isinstance(value, np.generic):
        return finite(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value

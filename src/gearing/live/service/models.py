"""Bodies of requests and answers, for checking and for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

DIGEST = r"^[0-9a-f]{64}$"
Digest = Annotated[str, Field(pattern=DIGEST, description="SHA-256 of the bundle's list of checksums.")]
Text = Annotated[str, Field(min_length=1, max_length=500)]
Rows = Annotated[
    list[Any] | dict[str, list[Any]],
    Field(
        description="A list of rows (objects, or klines as the venue returns them), or an object of columns."
    ),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DecideBody(_Strict):
    """What a decision needs."""

    bars: Rows
    account: Annotated[
        dict[str, Any] | list[Any],
        Field(description="The account as the venue returns it, or wallet_balance and positions."),
    ]
    funding: Rows | None = None
    now: Annotated[
        str | int | None,
        Field(description="Moment of the decision, UTC; the service's clock where it is left out."),
    ] = None
    pending: Annotated[
        list[dict[str, Any]],
        Field(description="Orders that were sent and are not filled: contract and quantity."),
    ] = []
    digest: Annotated[
        Digest | None,
        Field(description="Digest that the bundle must have; another one is answered with 409."),
    ] = None


class SwapBody(_Strict):
    """The bundle to take over."""

    digest: Digest


class PersonBody(_Strict):
    """Who changes the state, and why."""

    person: Text
    reason: Text


class Problem(BaseModel):
    """What is wrong."""

    code: str
    message: str


class ErrorAnswer(BaseModel):
    """An error."""

    error: Problem


class StatusAnswer(BaseModel):
    """Health of the service."""

    status: str
    problems: list[str] = []


class BundleAnswer(BaseModel):
    """A bundle and its session."""

    name: str
    digest: str
    policy: str
    contracts: list[str]
    decision_interval: str
    bar_seconds: float
    lookback_bars: int
    state: str
    last_decision: str | None
    waiting: int


class DecisionAnswer(BaseModel):
    """A decision; the fields are those of its JSON, see docs/decisions.md."""

    model_config = ConfigDict(extra="allow")

    time: str | None
    next_time: str | None
    digest: str
    state: str
    refusals: list[Problem | dict[str, Any]]
    target_leverage: dict[str, float | None]
    orders: list[dict[str, Any]]
    calls: list[dict[str, Any]]

"""The conformance suite passes what is sound and names what is not."""

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import gearing
from gearing.evaluation.conformance import PolicyError, check_policy
from gearing.policies import make_rule, rule_names
from gearing.policies.rules import FixedLeverage


@pytest.fixture(scope="module")
def market():
    return gearing.synthetic_market("market-b", seed=3, years=0.5, contracts=("A", "B"))


@pytest.mark.parametrize("name", rule_names())
def test_every_registered_rule_conforms(name, market):
    report = check_policy(make_rule(name), market)
    assert report.passed.all()
    assert len(report) == 11


@pytest.mark.parametrize("direction", ["short", "signal:momentum_strength_7d", "free"])
def test_rules_conform_whatever_gives_the_direction(direction, market):
    check_policy(make_rule("kelly"), market, direction=direction)


def test_a_rule_conforms_in_a_cross_margin_account_with_controls(market):
    from gearing.policies.controls import CoolDown, PortfolioLimit

    check_policy(
        make_rule("risk_parity"),
        market,
        margin_mode="cross",
        controls=[CoolDown(), PortfolioLimit(gross=3.0)],
    )


@dataclass(frozen=True)
class Good:
    required_columns: ClassVar[tuple[str, ...]] = ("effective_leverage",)
    action_scheme: ClassVar[str] = "target"

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full(observation["effective_leverage"].shape, 2.0), state


class OneForAll(Good):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.array([[2.0]]), state


class LooksAround(Good):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        seen = observation["log_return"]
        return np.abs(seen - seen.mean(axis=0)) * 10.0, state


class NeverForgets(Good):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        count = 0 if state is None else state + 1
        return np.full(observation["effective_leverage"].shape, 1.0 + 0.1 * min(count, 50)), count


class Scribbles(Good):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        observation.array[:] = 0.0
        return super().predict(observation, state)


class Greedy(Good):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.full(observation["effective_leverage"].shape, 1_000.0), state


class Divides(Good):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.minimum(np.abs(observation["log_return"]) / np.abs(observation["log_return"]), 1.0), state


class Rolls(Good):
    generator = np.random.default_rng(0)

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return self.generator.uniform(0.0, 2.0, observation["effective_leverage"].shape), state


@pytest.mark.parametrize(
    ("policy", "requirement"),
    [
        (OneForAll(), "returns (n_accounts, n_contracts)"),
        (LooksAround(), "alone as among others"),
        (NeverForgets(), "resets its state where an episode begins"),
        (Scribbles(), "does not write into the observation"),
        (Greedy(), "stays within max_leverage"),
        (Divides(), "at the bounds"),
        (Rolls(), "is deterministic"),
    ],
)
def test_what_is_broken_is_named(policy, requirement, market):
    with pytest.raises(PolicyError, match=requirement.replace("(", r"\(").replace(")", r"\)")):
        check_policy(policy, market)


class Fails(Good):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return {}["leverage"], state  # the line that the message names


def test_an_error_of_a_policy_is_named_with_its_class_and_line(market):
    lines = Path(__file__).read_text().splitlines()
    number = 1 + next(k for k, line in enumerate(lines) if line.endswith("# the line that the message names"))
    with pytest.raises(PolicyError) as refused:
        check_policy(Fails(), market)
    assert f"{__file__}, line {number}, in predict: KeyError: 'leverage'" in str(refused.value)


class Peeks(Good):
    """Finds the simulator in the frames of its caller, and in it the prices to come."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        frame = inspect.currentframe()
        while "simulator" not in frame.f_locals:
            frame = frame.f_back
        later = frame.f_locals["simulator"].markets[0].close[-1].sum()
        return np.full(observation["effective_leverage"].shape, 1.0 + later % 1.0), state


def test_a_policy_that_finds_later_prices_where_it_should_not_look_is_refused(market):
    with pytest.raises(PolicyError, match="does not use the future"):
        check_policy(Peeks(), market)


class Mutates(Peeks):
    """Writes into the prices that the simulator plays."""

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        frame = inspect.currentframe()
        while "simulator" not in frame.f_locals:
            frame = frame.f_back
        frame.f_locals["simulator"].markets[0].close[:] = 1.0
        return np.full(observation["effective_leverage"].shape, 1.0), state


def test_a_policy_cannot_write_into_the_market(market):
    before = market.close.copy()
    with pytest.raises(PolicyError, match="read-only"):
        check_policy(Mutates(), market)
    np.testing.assert_array_equal(market.close, before)


def test_a_policy_without_declarations_is_refused_at_once(market):
    report = check_policy(object(), market, raises=False)
    assert report.passed.tolist() == [False]
    assert "tuple of column names" in report.broken.iloc[0]


def test_a_sound_policy_of_ones_own_passes(market):
    assert check_policy(Good(), market).passed.all()
    assert check_policy(FixedLeverage(2.0)).passed.all()  # on the default market


class WithTheMonth:
    """A user's own policy, as in the documentation."""

    required_columns = ("momentum_30d",)
    action_scheme = "target"

    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.where(observation["momentum_30d"] > 0.0, 2.0, 0.0), state


class Misspelt(WithTheMonth):
    required_columns = ("momentum_30",)


class Narrow(WithTheMonth):
    def predict(self, observation):
        return np.zeros(observation["momentum_30d"].shape), None


class Flat(WithTheMonth):
    def predict(self, observation, state=None, episode_start=None, deterministic=False):
        return np.zeros(len(observation.array)), state


def test_a_policy_of_ones_own_passes_as_documented():
    assert check_policy(WithTheMonth()).passed.all()


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (Misspelt(), "Did you mean 'momentum_30d'"),
        (Narrow(), r"predict\(observation, state, episode_start, deterministic=True\)"),
        (Flat(), "return one number for each, shape"),
    ],
)
def test_a_failure_says_once_what_to_do(policy, told):
    with pytest.raises(PolicyError, match=told) as refused:
        check_policy(policy)
    assert " breaks 1 of " in str(refused.value)

"""A bundle of a rule, recorded bars, and a paper run over them."""

from functools import cache

from tests.export import cases

from gearing.export.runtime import load_bundle
from gearing.live.paper.bars import Feed, from_market
from gearing.live.paper.clock import Unhurried
from gearing.live.paper.run import paper_account

COLUMNS = ("log_return", "realised_volatility_24h", "funding_rate")


@cache
def market(days=25):
    """Some days of hourly bars."""
    return cases.market().rows(0, 24 * days)


def bundle(folder, rule=None, config=cases.SMALL, part=None):
    """A bundle that reads little."""
    return load_bundle(cases.small_bundle(folder, rule, config, part=part or market()))


def feed(part=None):
    """Its bars, recorded."""
    recorded = from_market(part or market())
    return Feed(lambda: recorded)


def run_to_end(chosen, folder, source=None, clock=None, **between):
    """The paper run of a folder after the feed has ended."""
    with paper_account(chosen, folder) as run:
        for _ in run.go(source or feed(), clock or Unhurried(), **between):
            pass
    return run

"""The conformance suite, run on policies of a user's own before a study plays them."""

import numpy as np

from gearing.evaluation.conformance import PolicyError, check_policy
from gearing.market.timing import DAY, parse_duration
from gearing.studies.study.columns import rule_columns
from gearing.studies.study.prepare import Prepared

_DAYS, _DECISIONS = 120, 40  # the longer of them is checked


def check_own_policies(prepared: Prepared) -> list[str]:
    """Check classes and models of a user's own on the beginning of the data, in each direction; their names.

    They see the columns that they declare, and no other.

    Raises
    ------
    PolicyError
        Naming the policy, and listing every requirement that it breaks.
    """
    config = prepared.config
    own = [name for name, rule in config.rules.items() if rule.is_own]
    for name in own:
        for direction in config.direction_names:
            columns = rule_columns(config, name, direction)
            account, market = next(iter(prepared.markets.items()))
            first = prepared.folds[0].train[0]
            interval = parse_duration(config.decision.interval).astype("timedelta64[ms]")
            last: np.datetime64 = min(first + max(_DAYS * DAY, _DECISIONS * interval), market.close_time[-1])
            cut, table = prepared.cut(account, (first, last), columns or None)
            settings = config.simulation_settings(name, direction)
            try:
                check_policy(config.rules[name].make(), cut, table, **settings)
            except PolicyError as error:
                raise PolicyError(f"rules.{name}: {error}") from None
    return own

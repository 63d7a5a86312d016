"""Policies: the rules traders use, and risk controls that wrap any policy."""

from gearing.lazy import reexports
from gearing.policies.registry import (
    control as control,
    control_names as control_names,
    describe_control as describe_control,
    describe_rule as describe_rule,
    make_control as make_control,
    make_rule as make_rule,
    rule as rule,
    rule_names as rule_names,
)

__all__ = reexports(__name__)

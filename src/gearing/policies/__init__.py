"""Policies: the rules traders use, and risk controls that wrap any policy."""

from gearing.policies.registry import (
    control,
    control_names,
    describe_control,
    describe_rule,
    make_control,
    make_rule,
    rule,
    rule_names,
)

__all__ = [
    "control",
    "control_names",
    "describe_control",
    "describe_rule",
    "make_control",
    "make_rule",
    "rule",
    "rule_names",
]

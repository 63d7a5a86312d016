"""How leverage is chosen: the rules traders use, the controls that wrap any policy, and their registers."""

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

"""How leverage is chosen: the rules traders use, and their register."""

from gearing.policies.registry import describe_rule, make_rule, rule, rule_names

__all__ = ["describe_rule", "make_rule", "rule", "rule_names"]

"""The published questions, one file each: config, computation, tables, figures and the result in one line.

Importing this package registers their kinds of experiment; nothing below imports it by module. A new question is a file
with an `ExperimentConfig` and a function decorated with `experiment`, and its name in the list below.
"""

from importlib import import_module

for _name in (
    "case_study",
    "crash_replay",
    "funding_erosion",
    "leverage_risk",
    "margin_modes",
    "market_a_answers",
    "methods",
    "reference_ablation",
):
    import_module(f"gearing.questions.{_name}")

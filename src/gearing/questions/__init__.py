"""The published questions, one file each: config, computation, tables, figures and the result in one line.

Importing this package registers their kinds of experiment; nothing below imports it by module. A new question is a file
with an `ExperimentConfig` and a function decorated with `experiment`, and its name below.
"""

from gearing.questions import (  # noqa: F401  the kinds register themselves
    case_study,
    crash_replay,
    funding_erosion,
    leverage_risk,
    margin_modes,
    market_a_answers,
    methods,
    reference_ablation,
)

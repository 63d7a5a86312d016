"""The names that other tools call stay where they are, are shown, and load nothing before they are used."""

import subprocess
import sys
from importlib import import_module

import pytest

import gearing

NAMES = {
    "gearing": """
        FeatureSet FeatureTable MarketData Policy SimulationConfig Simulator Slippage __version__ backtest
        check_feature check_policy compare feature load_bundle load_market oracle_growth oracle_leverage oracle_policy
        rules run_study safest_leverage synthetic_market train venue
    """,
    "gearing.agents": """
        AgentSettings LearnedPolicy Learner Scorer TrainedAgent TrainingDiverged agent_names agent_settings
        from_callable from_sb3 from_torch growth_per_year load_policy save_normalisation train_agent
    """,
    "gearing.contracts": """
        Contract ContractSpec MARGIN_TIER_DTYPE MarginTier TierSchedule VenueProfile register_venue
        shipped_schedules shipped_symbols venue venue_names
    """,
    "gearing.evaluation": """
        BacktestResult BudgetCheck BudgetScale Difference FixedGrid MatchedFixed Observer Performance Placebo
        PolicyError Promiser SafestLeverage Scenario activity aggregate annual_return backtest backtest_overfitting
        calmar_ratio capacity check_budget check_policy check_safest_leverage circular_shifts comparison
        conditional_value_at_risk confidence_set counterfactuals daily_equity daily_log_growth daily_returns
        deflated_sharpe growth_by_regime growth_difference html_report interquartile_mean join_distances
        leverage_profile leverage_response log_growth matched_fixed max_drawdown mean_interval performance
        performance_profile play pooled_growth_difference probabilistic_sharpe probability_of_improvement
        realised_drawdown reconcile risk_by_leverage safest_leverage scale_to_budget sharpe_difference
        sharpe_interval sharpe_ratio sortino_ratio step_down stress_grid superior_ability superior_policies
        sweep trades volatility
    """,
    "gearing.evaluation.reconcile": "Reconciliation reconcile reconcile_files",
    "gearing.evaluation.sweep": "Pick Sweep sweep",
    "gearing.export": "Bundle BundleError BundlePolicy Decision Order export_bundle load_bundle verify_bundle",
    "gearing.live": "Finding PaperError PaperRun Thresholds Watch paper_account watch write_statement",
    "gearing.features": """
        Feature FeatureError FeatureSet FeatureTable GROUPS bars_in bars_per_year check_feature feature
        forget_feature get_feature
        is_feature parse_duration registered_features
    """,
    "gearing.forecasters": """
        Forecast ForecastColumn Recipe Rows Schedule TouchProbability annual_volatility forecast_rows
        forecast_volatility_column forecaster forecasters future_variance liquidation_probability
        register_forecaster touches walk_forward walk_forward_touches
    """,
    "gearing.forecasters.scoring": """
        Reliability brier conformal_intervals coverage diebold_mariano log_score mincer_zarnowitz
        model_confidence_set out_of_sample_r2 pinball qlike reliability rmse_log_volatility
    """,
    "gearing.market": """
        MarketData SETTLEMENT_DTYPE build_store check_folder describe describe_seeds fetch import_freqtrade
        import_table load_market market_names open_store oracle_for oracle_growth oracle_leverage
        oracle_step_growth register_market resample synthetic_market trades_signal write_market write_store
    """,
    "gearing.policies": """
        control control_names describe_control describe_rule make_control make_rule rule rule_names
    """,
    "gearing.simulation": """
        ActionScheme CVaRAware Control DifferentialSharpe DrawdownAware LeverageScheme LiquidationAware
        LogGrowth MaxDrawdownAware MeanVariance Observation ObservationLayout Policy PolicyHooks ResidualScheme Reward
        SimulationConfig Simulator Situation Slippage TierScheme action_scheme apply_controls check_columns
        make_reward make_scheme market_a_settings market_b_settings reward
    """,
    "gearing.studies": "ExperimentConfig Findings StudyConfig Work experiment load_config run_study",
    "gearing.tracking": "Promotion Run StudyRun Tracker candidates find_runs promote study_runs",
}
HEAVY = (
    "torch",
    "stable_baselines3",
    "mlflow",
    "sklearn",
    "lightgbm",
    "arch",
    "onnx",
    "matplotlib",
    "ray",
    "optuna",
)
LIGHT = (
    "gearing",
    "gearing.agents",
    "gearing.evaluation",
    "gearing.market",
    "gearing.simulation",
    "gearing.studies",
)
IDS = ("Perpetual", "MarketAFull", "MarketAHidden", "MarketB")


@pytest.mark.parametrize("package", NAMES)
def test_public_names_are_there_and_shown(package):
    module, wanted = import_module(package), set(NAMES[package].split())
    assert set(module.__all__) == wanted
    assert set(module.__all__) <= set(dir(module))
    assert all(getattr(module, name) is not None for name in module.__all__)


@pytest.mark.parametrize("package", [name for name in NAMES if "__dir__" in vars(import_module(name))])
def test_a_package_shows_nothing_but_its_public_names(package):
    module = import_module(package)
    assert dir(module) == sorted(module.__all__)


@pytest.mark.parametrize("package", LIGHT)
def test_importing_a_package_loads_nothing_heavy(package):
    program = f"import sys, {package}; print(sorted({set(HEAVY) | {'pandas', 'numba', 'pydantic'}} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert loaded.stdout == "[]\n"


@pytest.mark.slow
def test_type_checkers_know_the_public_names(tmp_path):
    mypy = pytest.importorskip("mypy.api")
    program = tmp_path / "program.py"
    program.write_text("from gearing.agents import agent_names\nreveal_type(agent_names)\n")
    answer, _, _ = mypy.run(["--strict", "--follow-imports=silent", "--ignore-missing-imports", str(program)])
    assert "def () -> " in answer, answer
    assert "error" not in answer


@pytest.mark.parametrize("name", IDS)
def test_environments_are_registered(name):
    import gymnasium

    assert f"gearing/{name}-v0" in gymnasium.registry


def test_rules_are_reached_by_their_class_names():
    assert gearing.rules.VolatilityWeighted(low=3, high=8).high == 8
    assert gearing.rules.FixedLeverage(2).leverage == 2


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="backtets"):
        gearing.backtets  # noqa: B018


def test_a_module_of_the_same_name_does_not_hide_a_function():
    import gearing.evaluation.sweep.walk_forward
    import gearing.forecasters.walk_forward

    assert callable(gearing.feature)
    assert callable(gearing.forecasters.walk_forward)
    assert callable(gearing.evaluation.sweep.sweep)


def test_a_function_wins_over_the_module_of_its_name():
    assert gearing.feature.__name__ == "feature"
    assert gearing.rules.__name__ == "gearing.policies.rules"

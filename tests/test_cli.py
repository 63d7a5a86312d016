"""The command line answers at once, ends mistakes in one message, and writes its results as JSON."""

import json
import subprocess
import sys

import pytest
from tests.fuzz.mutations import run_command

from gearing import cli

HEAVY = "pandas numba pyarrow scipy sklearn lightgbm arch torch stable_baselines3 mlflow onnx matplotlib"
SHORT = ["market.years=0.5"]


def run(*arguments, check=True):
    return subprocess.run(
        [sys.executable, "-m", "gearing.cli", *arguments], capture_output=True, text=True, check=check
    )


@pytest.mark.parametrize("arguments", [["--help"], ["backtest", "--help"], ["data", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = f"""
import sys
from gearing import cli
sys.argv = ["gearing", *{arguments!r}]
try:
    cli.main()
except SystemExit:
    pass
print("LOADED", sorted(set({HEAVY.split()}) & set(sys.modules)))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip().endswith("LOADED []")


def test_show_prints_an_experiment_whole(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("# What survives?\nrules: [fixed_3x]\n")
    shown = run("show", str(path), "seeds=2").stdout
    assert shown.startswith("# What survives?")
    assert "seeds: 2" in shown


def test_a_mistake_ends_in_one_message_without_a_traceback(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("rules: [fixed_3x]\nsees: 3\n")
    answer = run("show", str(path), check=False)
    assert answer.returncode == 2
    assert answer.stderr == f"error: {path}, line 2: no field 'sees'. Did you mean 'seeds'?\n"


def test_a_folder_that_cannot_be_written_ends_in_one_message_without_a_traceback(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("rules: [fixed_3x]\n")
    answer = run("study", str(path), f"output={path}", check=False)
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: ")
    assert "Traceback" not in answer.stderr


def test_show_refuses_names_that_do_not_exist(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("rules: [fixed_3x]\n")
    answer = run("show", str(path), "exchange.venue=bybt", check=False)
    assert answer.returncode == 2
    assert "exchange.venue: no venue 'bybt'. Did you mean 'bybit'?" in answer.stderr


def test_backtest_prints_a_table_and_writes_every_number(tmp_path):
    out = tmp_path / "result.json"
    page = tmp_path / "page.html"
    controls = "controls=[{control: stop_loss, margin: 0.2}]"
    asked = ["decision.margin_share=0.1", controls, "--json", str(out), "--report", str(page)]
    shown = run("backtest", "fixed_3x", *SHORT, *asked).stdout
    assert "fixed_3x" in shown
    assert "StopLoss(" in shown
    assert "fixed_3x on" in page.read_text(encoding="utf-8")
    assert "2020-01-02T00:00 to" in shown  # no default column of 90 days holds the first decision up
    row = json.loads(out.read_text())
    assert row["effective_leverage"] == pytest.approx(0.3, abs=0.05)


def test_a_rule_that_reads_forecast_excursions_is_given_them():
    shown = run("backtest", "excursion_budget", "market.years=2", "market.seed=1").stdout
    # 30 days of a young contract and 180 starts that ended: the first law is that of the first of August
    assert "2020-08-0" in shown
    assert "excursion_budget " in shown


def test_an_unknown_rule_is_refused_with_the_nearest():
    answer = run("backtest", "tierd", check=False)
    assert answer.returncode == 2
    assert "Did you mean 'tiered'?" in answer.stderr


def test_data_describe_shows_facts_with_their_ranges(tmp_path):
    out = tmp_path / "facts.json"
    assert "Hill tail index" in run("data", "describe", *SHORT, "--json", str(out)).stdout
    assert json.loads(out.read_text())["facts"]["Hill tail index 1 h"] > 0


FORECAST = """\
# Does the weekday help?
market: {years: 2.5}
models: [har, har_dow]
choose_before: 2022-01-01
"""


@pytest.mark.slow
def test_forecast_writes_the_scores_of_every_model(tmp_path):
    path, out = tmp_path / "x.yaml", tmp_path / "scores.json"
    path.write_text(FORECAST)
    shown = run("forecast", str(path), f"output={tmp_path}", "--no-track", "--json", str(out)).stdout
    found = json.loads(out.read_text())
    assert found["models"]["har"]["ratio_to_har"] == pytest.approx(1.0)
    assert sum(model["chosen"] for model in found["models"].values()) == 1
    assert found["line"] in shown


def test_forecast_refuses_experiments_of_another_kind(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("rules: [fixed_3x]\n")
    answer = run("forecast", str(path), check=False)
    assert answer.returncode == 2
    assert f"error: {path} is an experiment of kind 'study'; run it with `gearing study`." in answer.stderr


def test_data_check_finds_a_gap_and_writes_it_as_json(tmp_path):
    import pandas as pd

    home = tmp_path / "binance-um" / "XUSDT"
    home.mkdir(parents=True)
    times = pd.date_range("2024-01-01", periods=50, freq="1h").delete(20)
    price = pd.Series(range(100, 149), dtype=float)
    frame = pd.DataFrame({"open_time": times, "open": price, "high": price, "low": price, "close": price})
    frame.assign(volume=1.0).to_parquet(home / "1h.parquet")
    out = tmp_path / "report.json"
    shown = run("data", "check", str(tmp_path), "--json", str(out), check=False).stdout
    assert "gap" in shown
    gaps = [f for f in json.loads(out.read_text())["findings"] if f["rule"] == "gap"]
    assert gaps[0]["first"].startswith("2024-01-01 20:00")


def test_data_store_maps_what_a_folder_holds(tmp_path):
    from gearing.market import open_store, synthetic_market
    from gearing.market.history.writing import write_market

    market = synthetic_market("market-b", seed=1, years=0.05, contracts=("BTCUSDT", "ETHUSDT"))
    write_market(market, tmp_path / "data")
    span = ["--from", "2020-01-02", "--to", "2020-01-10", "--bar", "1h", "--missing-tiers", "earliest"]
    where = [str(tmp_path / "store"), "BTCUSDT", "ETHUSDT", "--folder", str(tmp_path / "data")]
    assert "192 bars of 1h" in run("data", "store", *where, *span).stdout
    opened = open_store(tmp_path / "store")
    assert (opened.close == market.between("2020-01-02", "2020-01-10").close).all()


def test_data_import_brings_a_table_into_the_layout(tmp_path):
    table = tmp_path / "mine.csv"
    lines = [f"2024-01-01T{hour:02d}:00,1,2,0.5,1.5,10" for hour in range(24)]
    table.write_text("\n".join(["date,o,h,l,c,v", *lines]))
    columns = ("open_time=date", "open=o", "high=h", "low=l", "close=c", "volume=v")
    options = [part for column in columns for part in ("--column", column)]
    where = ["--symbol", "XUSDT", "--folder", str(tmp_path / "data")]
    run("data", "import", "--table", str(table), *where, *options)
    assert (tmp_path / "data" / "binance-um" / "XUSDT" / "1h.parquet").exists()


def test_data_fetch_writes_nothing_outside_its_folder(tmp_path):
    refused = run("data", "fetch", "../../x", "--folder", str(tmp_path / "data"), check=False)
    assert refused.returncode == 2
    assert "the contract '../../x' cannot name a file or a folder" in refused.stderr
    assert not list(tmp_path.iterdir())


def test_a_bundle_decides_from_the_command_line(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text(
        "market: {seed: 1, years: 2}\nfolds: {train: 200d, validate: 60d, test: 60d, count: 1}\nforecast: null\n"
        "rules: [fixed_1x]\nseeds: 1\nexport: ppo\ntracking: {enabled: false}\n"
        "agents: {ppo: {base: volatility_weighted, columns: [default], steps: 1024, envs: 16,"
        " settings: {parameters: {n_steps: 32, batch_size: 256, n_epochs: 1}}}}\n"
    )
    shown = run("study", str(path), f"output={tmp_path}").stdout
    printed = next(line for line in shown.splitlines() if line.startswith("decide")).split()[1:]
    python, *light = printed
    assert (python, light[:2]) == ("python", ["-m", "gearing.export"])
    answer = subprocess.run([sys.executable, *light], capture_output=True, text=True, check=True).stdout
    assert "target leverage" in answer
    assert answer.strip() in shown
    at = light.index("--now")
    inputs, moment = light[2:at], light[at : at + 2]
    assert run("decide", *inputs, *moment).stdout == answer
    for now in ([], ["--now", ""], ["--now", "nan"], ["--now", "NaT"], ["--now", "2024-07-01"]):
        refused = run("decide", *inputs, *now, check=False)
        assert refused.returncode == 2, now
        assert refused.stderr.startswith("error: "), now
        assert refused.stderr.count("\n") == 1, now
    assert run("decide", *inputs, *moment, "--max-jump", "off").stdout == answer


def test_reconcile_names_the_line_whose_fee_differs(tmp_path):
    fills = [
        {"symbol": "BTCUSDT", "id": n, "orderId": n, "side": side, "price": "60000.00", "qty": "0.100", "maker": False,
         "realizedPnl": "0", "commission": fee, "commissionAsset": "USDT", "time": 1_704_067_200_000 + n, "buyer": True,
         "positionSide": "BOTH", "quoteQty": "6000.00"}
        for n, (side, fee) in enumerate([("BUY", "3.00000000"), ("SELL", "3.10000000")])
    ]  # fmt: skip
    path = tmp_path / "fills.json"
    path.write_text(json.dumps(fills))
    answer = run("reconcile", str(path), check=False)
    assert answer.returncode == 1, answer.stderr
    # 0.1 x 60 000 x 0.05 % = 3, so the second line charged too much
    assert "1 differ" in answer.stdout


def test_the_version_is_printed_in_every_way():
    import gearing

    program = subprocess.run(
        [sys.executable, "-m", "gearing", "--version"], capture_output=True, text=True, check=True
    )
    assert program.stdout == run_command(["version"])[1] == f"{gearing.__version__}\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_rules_and_commands_are_completed(shell, monkeypatch):
    words = {"bash": "complete_bash", "zsh": "complete_zsh", "fish": "complete_fish"}[shell]
    monkeypatch.setenv("_GEARING_COMPLETE", words)
    for name, value in (("COMP_WORDS", "gearing backtest volatility_w"), ("COMP_CWORD", "2"),
                        ("_TYPER_COMPLETE_ARGS", "gearing backtest volatility_w"),
                        ("_TYPER_COMPLETE_FISH_ACTION", "get-args")):  # fmt: skip
        monkeypatch.setenv(name, value)
    code = "import sys; sys.argv = ['gearing']; from gearing.cli import main; main()"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "volatility_weighted" in shown.stdout


def test_a_backtest_reads_the_folder_in_gearing_data_and_says_so(tmp_path, monkeypatch):
    from gearing.market import synthetic_market
    from gearing.market.history.writing import write_market

    write_market(synthetic_market("market-b", seed=1, years=0.05, contracts=("BTCUSDT",)), tmp_path / "data")
    monkeypatch.setenv("GEARING_DATA", str(tmp_path / "data"))
    code, shown, messages = run_command(["backtest", "fixed_3x", "market.missing_tiers=earliest"])
    assert code == 0, messages
    assert f"data        {tmp_path / 'data'} (from GEARING_DATA)\nMarketData(binance-um BTCUSDT" in shown
    # Whoever asks for a generated market gets one.
    for setting in ("market.folder=null", "market.years=0.05", "market.generator=market-b"):
        shown = run_command(["backtest", "fixed_3x", setting, "market.years=0.05"])[1]
        assert "GEARING_DATA" not in shown
        assert "MarketData(market-b" in shown


def test_a_folder_in_gearing_data_that_does_not_exist_is_refused_by_the_variables_name(monkeypatch):
    monkeypatch.setenv("GEARING_DATA", "/no/such/folder")
    code, _, message = run_command(["backtest", "fixed_3x"])
    assert code == 2
    assert message.startswith("error: GEARING_DATA names /no/such/folder, which is no folder.")


def test_a_backtest_takes_the_rules_settings_and_columns_of_ones_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GEARING_DATA", raising=False)
    # Long for ten days, then flat: the signal 1, then 0, holds until its next row.
    (tmp_path / "mine.csv").write_text("time,cli_side\n2020-01-01,1\n2020-01-11,0\n2020-02-11,0\n")
    arguments = [
        "backtest",
        "fixed",
        "leverage=2",
        "--columns",
        "mine.csv",
        "decision.direction=signal:cli_side",
    ]
    code, shown, messages = run_command(
        [*arguments, "market.years=0.1", "--json", "row.json", "--ledger", "l.parquet"]
    )
    assert code == 0, messages
    assert "columns     cli_side of mine.csv" in shown
    # Decisions from 2020-01-02 to 2020-02-06: 10 of 35 days at 2x.
    row = json.loads((tmp_path / "row.json").read_text())
    assert row["effective_leverage"] == pytest.approx(2.0 * 9 / 35, abs=0.1)


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_computed(tmp_path):
    for option, path in (
        ("--json", tmp_path),
        ("--ledger", tmp_path / "no" / "x"),
        ("--report", "/proc/x/y"),
    ):
        code, shown, message = run_command(["backtest", "fixed_3x", option, str(path)])
        assert (code, shown) == (2, "")
        assert str(tmp_path) in message or "/proc/x" in message
        assert option in message


PLUGIN = """\
import numpy as np

from gearing.simulation.rewards import reward


@reward("only_losses")
class OnlyLosses:
    def reset(self, mask):
        pass

    def __call__(self, steps, drawdown):
        return np.minimum(steps["log_growth"], 0.0)
"""
WITH_PLUGIN = """\
# Does a reward of one's own reach every process?
market: {seed: 1, years: 2}
folds: {train: 200d, validate: 60d, test: 60d, count: 1}
forecast: null
rules: [fixed_1x]
seeds: 2
jobs: 2
plugins: [plugin_of_cli.py]
tracking: {enabled: false}
agents: {ppo: {base: volatility_weighted, columns: [default], reward: only_losses, steps: 1024, envs: 16,
               settings: {parameters: {n_steps: 32, batch_size: 256, n_epochs: 1}}}}
"""


@pytest.mark.slow
def test_a_reward_of_ones_own_reaches_every_process_and_its_code_counts(tmp_path):
    (tmp_path / "plugin_of_cli.py").write_text(PLUGIN)
    path = tmp_path / "own.yaml"
    path.write_text(WITH_PLUGIN)
    arguments = ["study", str(path), f"output={tmp_path / 'runs'}"]  # the plugin lies next to the experiment
    assert "0 of 3 trials are done" in run(*arguments).stdout
    assert "3 of 3 trials are done" in run(*arguments).stdout
    (tmp_path / "plugin_of_cli.py").write_text(PLUGIN.replace(", 0.0)", ", 0.01)"))
    assert "0 of 3 trials are done" in run(*arguments).stdout


def test_an_experiment_that_is_shown_runs_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugin_shown.py").write_text("")
    (tmp_path / "x.yaml").write_text("# What survives?\nrules: [fixed_3x]\nplugins: [plugin_shown.py]\n")
    code, shown, _ = run_command(["show", "x.yaml", "name=x"])
    assert code == 0
    (tmp_path / "again.yaml").write_text(shown)
    assert run_command(["show", "again.yaml"])[1] == shown


def test_plugins_of_a_decision_are_loaded(tmp_path, capsys):
    arguments = [
        "decide",
        str(tmp_path),
        "--bars",
        "bars.csv",
        "--account",
        "account.json",
        "--now",
        "last-bar",
    ]
    assert cli.run([*arguments, "--plugins", str(tmp_path / "nope.py")]) == 2
    assert "nope.py: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize("jobs", ["0", "-2"])
def test_a_number_of_processes_below_one_is_refused_before_anything_is_run(tmp_path, capsys, jobs):
    experiment = tmp_path / "x.yaml"
    experiment.write_text("rules: [fixed_1x]\n")
    assert cli.run(["study", str(experiment), f"output={tmp_path}", "--jobs", jobs]) == 2
    assert (
        capsys.readouterr().err
        == f"error: jobs is {jobs}; give the number of processes, 1 or more (--jobs).\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["x.yaml"]

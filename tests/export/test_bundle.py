import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from tests.export import cases

from gearing.agents import train_agent
from gearing.evaluation.playing import signed_targets
from gearing.export import BundleError, Decision, export_bundle, load_bundle, verify_bundle
from gearing.export.bundle.manifest import Manifest
from gearing.policies.controls import DailyLossLimit, NotionalCap, StopLoss
from gearing.policies.rules import FixedLeverage, Tiered, VolatilityTarget

RULE = VolatilityTarget(target=1.5, max_leverage=10.0)


@pytest.fixture(scope="module")
def network_bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "network"
    return export_bundle(
        cases.policy(), folder, market=cases.market(), table=cases.table(), config=cases.CONFIG,
        forecasts=cases.forecast(), provenance={"seed": 1, "mlflow_run": "none"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def rule_bundle(tmp_path_factory):
    return export_rule(RULE, tmp_path_factory.mktemp("bundles") / "rule")


def export_rule(rule, folder, config=cases.CONFIG):
    return export_bundle(
        rule, folder, market=cases.market(), table=cases.table(), config=config, forecasts=cases.forecast()
    )


@pytest.fixture
def rule_copy(rule_bundle, tmp_path):
    return shutil.copytree(rule_bundle, tmp_path / "copy")


BARS = cases.bar_table(cases.market())
FUNDING = cases.funding_table(cases.market())
FLAT = {"equity": 10_000.0, "positions": {}}


# ---------------------------------------------------------------------------------------------------- parity


def assert_parity(bundle, policy, config, every):
    """The bundle, given only tables, answers what the simulator's policy answered at the same closes."""
    stamps = cases.forecast().fitted_until
    exported_at = stamps[~np.isnat(stamps)].max()  # from here on the column comes from the exported model
    compared, traded = 0, 0
    for k, (time, observation, account, target, simulator) in enumerate(
        cases.played(policy, config, signed_targets)
    ):
        if k % every or time < exported_at:
            continue
        decision = bundle.decide(
            BARS[BARS.open_time < time], json.loads(json.dumps(account)), FUNDING, now="last-bar"
        )
        assert decision.time == time
        names = tuple(decision.observation)
        assert names == simulator.layout.names
        np.testing.assert_allclose(
            [decision.observation[name] for name in names],
            observation,
            rtol=2e-5,
            atol=2e-6,
            err_msg=str(names),
        )
        # Of a network 4.4e-7 was measured at 0.39x: its forecast column is computed by onnxruntime.
        np.testing.assert_allclose(list(decision.policy_leverage.values()), target, rtol=1e-6, atol=1e-6)
        compared += 1
        traded += bool(account["positions"])
    assert compared >= 10
    assert traded >= 9


def test_a_networks_bundle_decides_what_the_simulator_decided_bar_after_bar(network_bundle):
    assert_parity(load_bundle(network_bundle), cases.policy(), cases.CONFIG, every=3)


def test_a_rules_bundle_decides_what_the_simulator_decided_bar_after_bar(rule_bundle):
    assert_parity(load_bundle(rule_bundle), RULE, cases.CONFIG, every=3)


def test_a_short_account_gets_the_side_that_the_bundle_was_made_for(tmp_path):
    config = cases.CONFIG.with_(direction="short")
    bundle = load_bundle(export_rule(FixedLeverage(3.0), tmp_path / "short", config))
    assert_parity(bundle, FixedLeverage(3.0), config, every=5)
    decision = bundle.decide(BARS, FLAT, FUNDING, now="last-bar")
    assert decision.policy_leverage == {"BTC-SYN": -3.0}
    assert decision.orders[0].side == "sell"


def test_the_order_of_a_flat_account_is_the_target_times_its_share_of_equity(rule_bundle, tmp_path):
    bundle = load_bundle(export_rule(FixedLeverage(4.0), tmp_path / "fixed"))
    order = bundle.decide(BARS, FLAT, FUNDING, now="last-bar").orders[0]
    # 4 x 25 % of 10 000 = 10 000, less what fee and slippage take of the margin: 0.07 % of 4 x 2 500
    assert order.side == "buy"
    assert 0.995 * 10_000 < order.notional < 10_000
    assert order.leverage_setting == 4.0
    assert order.margin <= 2_500.0


# ---------------------------------------------------------------------------------------------------- controls


def test_risk_controls_travel_with_the_bundle_and_act_as_in_the_simulator(tmp_path):
    controls = (NotionalCap(up_to=(4_000.0,), leverage=(1.6,)), DailyLossLimit(0.02), StopLoss(margin=0.5))
    config = cases.CONFIG.with_(controls=controls)
    bundle = load_bundle(export_rule(RULE, tmp_path / "guarded", config))
    assert bundle.manifest.config.controls == controls
    memory, decided, played = None, [], []
    for time, _, account, _, simulator in cases.played(RULE, config, signed_targets):
        if decided:
            played.append(simulator.decided[0, 0])  # what the last step held, after its controls
        if len(decided) == 25:
            break
        if time >= np.datetime64("2020-07-20"):
            decision = bundle.decide(
                BARS[BARS.open_time < time], account, FUNDING, now="last-bar", memory=memory
            )
            memory = json.loads(decision.to_json())["memory"]
            decided.append(decision)
    found = [decision.policy_leverage["BTC-SYN"] for decision in decided]
    np.testing.assert_allclose(found, played, rtol=1e-6, atol=1e-6)
    assert max(found) <= 1.6 * (1 + 1e-6)
    reasons = " ".join(reason for decision in decided for reason in decision.reasons)
    assert "risk control notional_cap changed the target" in reasons
    # half of the margin is lost at a move of half over the leverage
    last = decided[-1].orders[0]
    assert last.stop == pytest.approx(0.5 / found[-1], rel=0.05)
    assert "stop" in str(decided[-1])


RECURRENT = {
    "differentiable": {
        "algorithm": "differentiable", "n_accounts": 16, "episode": "60d", "total_decisions": 4_096,
        "network": {"layers": [8], "memory": 6, "members": 2}, "parameters": {"n_steps": 16, "learning_rate": 0.02},
    },
    "recurrent_ppo": {
        "algorithm": "recurrent_ppo", "n_accounts": 8, "episode": "20d", "total_decisions": 640,
        "network": {"layers": [8], "lstm_hidden_size": 8, "log_std_init": 0.0},
        "parameters": {"n_steps": 16, "batch_size": 64, "n_epochs": 10, "learning_rate": 0.03},
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=RECURRENT)
def recurrent(request, tmp_path_factory):
    config = cases.CONFIG.with_(action="leverage", controls=(DailyLossLimit(0.02),))
    policy = train_agent(RECURRENT[request.param], cases.market(), cases.table(), config, seed=0).policy
    folder = tmp_path_factory.mktemp("bundles") / request.param
    export_bundle(
        policy, folder, market=cases.market(), table=cases.table(), config=config, forecasts=cases.forecast()
    )
    return load_bundle(folder), policy, config


def test_a_recurrent_networks_state_travels_from_decision_to_decision_through_json(recurrent):
    bundle, policy, config = recurrent
    first, memory, decided, played, forgetful = np.datetime64("2020-07-20"), None, [], [], []
    for time, _, account, _, simulator in cases.played(policy, config, signed_targets, first):
        if decided:
            played.append(simulator.decided[0, 0])
        if len(decided) == 25:
            break
        if time >= first:
            decision = bundle.decide(
                BARS[BARS.open_time < time], account, FUNDING, now="last-bar", memory=memory
            )
            memory = json.loads(decision.to_json())["memory"]
            decided.append(decision)
            without = bundle.decide(BARS[BARS.open_time < time], account, FUNDING, now="last-bar")
            forgetful.append(without.policy_leverage["BTC-SYN"])
    found = np.array([decision.policy_leverage["BTC-SYN"] for decision in decided])
    kept = np.isnan(played)  # a band that holds is answered with what is held
    np.testing.assert_allclose(found[~kept], np.array(played)[~kept], rtol=1e-6, atol=1e-6)
    assert (~kept).sum() >= 3
    assert not np.allclose(forgetful, found, rtol=1e-3)  # the state matters, or nothing was tested
    reasons = " ".join(decided[0].reasons)
    assert "no memory was given" in reasons
    assert "the network restart" in reasons
    assert "no memory was given" not in " ".join(decided[1].reasons)


def test_a_recurrent_networks_memory_must_be_whole(recurrent):
    with pytest.raises(BundleError, match="memory has 1 parts, this bundle has 2"):
        recurrent[0].decide(BARS, FLAT, FUNDING, now="last-bar", memory=[None])


@pytest.fixture(scope="module")
def masked(tmp_path_factory):
    """Of a large account: the highest leverages are beyond what its tiers allow."""
    config = cases.CONFIG.with_(action="tiers", max_leverage=20.0, margin_share=0.05, initial_equity=200e6)
    settings = {
        "algorithm": "maskable_ppo", "n_accounts": 8, "episode": "20d", "network": {"layers": [8]},
        "parameters": {"n_steps": 16, "batch_size": 64, "n_epochs": 10, "learning_rate": 0.03},
    }  # fmt: skip
    policy = train_agent(settings, cases.market(), cases.table(), config, seed=1, total_decisions=640).policy
    with torch.no_grad():
        policy.network.action_net.bias += 100.0 * torch.arange(9)  # wants the most it may have
    folder = export_bundle(
        policy, tmp_path_factory.mktemp("bundles") / "masked", market=cases.market(), table=cases.table(),
        config=config, forecasts=cases.forecast(),
    )  # fmt: skip
    return load_bundle(folder), policy, config


def test_a_masked_networks_bundle_chooses_among_what_the_tiers_allow_as_in_the_simulator(masked):
    bundle, policy, config = masked
    assert_parity(bundle, policy, config, every=7)


def test_a_masked_network_gets_the_highest_leverage_that_the_tiers_leave_it(masked):
    bundle, policy, _ = masked
    found = {}
    for equity in (1e5, 200e6, 1e10):
        decision = bundle.decide(BARS, {"equity": equity, "positions": {}}, FUNDING, now="last-bar")
        assert not any("exceeds" in reason for reason in decision.reasons)
        found[equity] = decision.policy_leverage["BTC-SYN"]
    tiers = cases.market().contracts[0].schedules[-1].tiers
    for equity, leverage in found.items():
        caps = [max(t.cap for t in tiers if t.max_leverage >= max(1.0, x)) for x in policy.scheme.magnitudes]
        possible = policy.scheme.magnitudes * 0.05 * equity <= caps
        assert leverage == policy.scheme.magnitudes[possible].max()
    assert len(set(found.values())) == 3


def test_memory_is_read_from_the_file_of_the_last_decision(tmp_path):
    config = cases.SMALL.with_(controls=(DailyLossLimit(0.02),))
    bundle, path = (
        load_bundle(cases.small_bundle(tmp_path / "guarded", config=config)),
        tmp_path / "last.json",
    )
    first = bundle.decide(BARS, FLAT, now="last-bar")
    path.write_text(first.to_json())
    again, given = (bundle.decide(BARS, FLAT, now="last-bar", memory=m) for m in (path, first.memory))
    assert again.to_json() == given.to_json()
    assert "no memory was given" not in " ".join(again.reasons)
    for text, words in (
        ("{}", "it has no memory"),
        ("[", "last.json, line 1"),
        ('{"memory": [7]}', "last.json: memory"),
    ):
        path.write_text(text)
        with pytest.raises(BundleError, match=words):
            bundle.decide(BARS, FLAT, now="last-bar", memory=path)


def test_memory_of_another_bundle_is_refused(bundle):
    with pytest.raises(BundleError, match="memory has 2 parts, this bundle has 0"):
        bundle.decide(BARS, FLAT, FUNDING, now="last-bar", memory=[None, None])


# ---------------------------------------------------------------------------------------------------- caps


def test_a_target_beyond_what_the_tier_allows_is_lowered_and_said(rule_bundle, tmp_path):
    bundle = load_bundle(export_rule(FixedLeverage(10.0), tmp_path / "large"))
    decision = bundle.decide(BARS, {"equity": 1e9, "positions": {}}, FUNDING, now="last-bar")
    # 10x of 25 % of a billion is 2.5 billion, far beyond any tier that allows 10x
    assert decision.policy_leverage["BTC-SYN"] < 10.0
    assert "tier allows" in " ".join(decision.reasons)


def test_a_rule_that_requests_more_than_the_bundle_allows_is_lowered_and_said(tmp_path):
    bundle = load_bundle(export_rule(FixedLeverage(50.0), tmp_path / "wild"))
    decision = bundle.decide(BARS, FLAT, FUNDING, now="last-bar")
    assert decision.policy_leverage == {"BTC-SYN": 10.0}
    assert "the bundle allows 10x" in " ".join(decision.reasons)


# ---------------------------------------------------------------------------------------------------- the folder


def test_a_bundle_holds_no_pickle_and_lists_every_file(network_bundle):
    assert set(verify_bundle(network_bundle)) == {
        "manifest.json",
        "MODEL_CARD.md",
        "policy.onnx",
        "forecaster.onnx",
    }
    assert {p.name for p in network_bundle.iterdir()} == {*verify_bundle(network_bundle), "SHA256SUMS"}


def test_a_manifest_reads_back_as_it_was_written(network_bundle, tmp_path):
    manifest = Manifest.read(network_bundle / "manifest.json")
    manifest.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == (network_bundle / "manifest.json").read_text()
    assert manifest.contracts == cases.market().contracts
    assert manifest.provenance["market"]["fingerprint"] == cases.market().fingerprint
    assert manifest.provenance["seed"] == 1
    assert manifest.policy["scheme"]["base"]["rule"] == "volatility_weighted"


def test_a_changed_file_is_refused(rule_copy):
    path = rule_copy / "manifest.json"
    path.write_text(path.read_text().replace('"target": 1.5', '"target": 9.9'))
    with pytest.raises(BundleError, match=r"manifest\.json was changed.*export it again"):
        load_bundle(rule_copy)


def test_a_missing_an_added_and_a_foreign_file_are_refused(rule_copy, tmp_path):
    (rule_copy / "extra.bin").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"extra\.bin, which its checksums do not list"):
        load_bundle(rule_copy)
    (rule_copy / "extra.bin").unlink()
    (rule_copy / "forecaster.onnx").unlink()
    with pytest.raises(BundleError, match=r"lacks forecaster\.onnx"):
        load_bundle(rule_copy)
    with pytest.raises(BundleError, match="is not a bundle"):
        load_bundle(tmp_path)
    with pytest.raises(BundleError, match="there is no folder"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("line", "words"), [('"format": 99', "a bundle of version 99"), ('"schema": 2', "a bundle of version 1")]
)
def test_a_bundle_of_another_version_is_refused_with_what_to_do(rule_copy, line, words):
    from gearing.export.bundle.files import write_checksums

    path = rule_copy / "manifest.json"
    path.write_text(path.read_text().replace('"format": 2', line))
    write_checksums(rule_copy)
    with pytest.raises(BundleError, match=f"{words}.*reads version 2. Export it again from its study"):
        load_bundle(rule_copy)


@pytest.mark.parametrize(
    "section", ["evaluation", "budget", "seen", "declared", "provenance", "policy", "rule"]
)
def test_a_manifest_without_a_section_is_refused_by_its_name(rule_copy, section):
    from gearing.export.bundle.files import write_checksums

    path = rule_copy / "manifest.json"
    about = json.loads(path.read_text())
    del about[section]
    path.write_text(json.dumps(about))
    write_checksums(rule_copy)
    with pytest.raises(BundleError, match=f"the section '{section}' is missing. Export the bundle again"):
        load_bundle(rule_copy)


def test_a_fallback_at_an_unknown_moment_is_not_dated_1970_and_is_sent_once(bundle):
    def flattened(quantity):
        held = {"quantity": quantity, "entry_price": 9_000.0, "leverage": 2.0, "mark": 9_500.0}
        account = {"wallet_balance": 10_000.0, "positions": {"BTC-SYN": held}}
        return bundle.decide(pd.DataFrame(), account, now="", fallback="flat", venue="binance-usdm")

    first, second, again = (flattened(q) for q in (0.5, 0.25, 0.5))
    assert np.isnat(first.time)
    assert (first.as_dict()["time"], first.as_dict()["next_time"]) == (None, None)
    assert "when it was due is not known" in str(first)
    assert Decision.from_dict(json.loads(first.to_json())).to_json() == first.to_json()
    ids = [one.calls[-1].params["newClientOrderId"] for one in (first, second, again)]
    assert ids[0] == ids[2] != ids[1]  # of the positions that are closed
    flat = bundle.decide(pd.DataFrame(), {"wallet_balance": 1e4, "positions": {}}, now="", fallback="flat")
    assert [(one.side, one.exact_price) for one in flat.orders] == [("none", "0")]


def test_an_existing_folder_is_not_replaced_unless_requested(rule_copy):
    with pytest.raises(BundleError, match="overwrite=True"):
        export_rule(RULE, rule_copy)


def test_what_cannot_be_exported_is_refused_and_leaves_nothing_behind(tmp_path):
    class Unknown(FixedLeverage):
        pass

    with pytest.raises(BundleError, match=r"not a registered rule.*Only registered rules"):
        export_rule(Unknown(), tmp_path / "a")
    narrow = cases.table().select(["log_return"])
    with pytest.raises(BundleError, match=r"Tiered reads .*trend_7d"):
        export_bundle(Tiered(), tmp_path / "b", market=cases.market(), table=narrow, config=cases.CONFIG)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.fixture(scope="module")
def bundle(rule_bundle):
    return load_bundle(rule_bundle)


def test_too_few_bars_are_refused_with_the_number_that_is_needed(bundle):
    with pytest.raises(
        BundleError, match=rf"looks back over {bundle.lookback_bars} bars .* give all bars from"
    ):
        bundle.decide(BARS.tail(500), FLAT, FUNDING, now="last-bar")


def test_exactly_the_look_back_is_enough(bundle):
    whole = bundle.decide(BARS, FLAT, FUNDING, now="last-bar")
    last = bundle.decide(
        BARS[BARS.open_time < whole.time].tail(bundle.lookback_bars), FLAT, FUNDING, now="last-bar"
    )
    assert last.policy_leverage == whole.policy_leverage


def test_a_hole_and_a_repeated_bar_are_refused_by_their_stamp(bundle):
    holed = BARS.drop(index=BARS.index[-100])
    with pytest.raises(
        BundleError, match=rf"1 missing, the first at {BARS.open_time.iloc[-100].isoformat()}"
    ):
        bundle.decide(holed, FLAT, FUNDING, now="last-bar")
    with pytest.raises(BundleError, match="is repeated"):
        bundle.decide(pd.concat([BARS, BARS.iloc[[-100]]]), FLAT, FUNDING, now="last-bar")


def test_tables_decide_the_same_in_any_order_unit_and_layout(bundle):
    expected = bundle.decide(BARS, FLAT, FUNDING, now="last-bar").target_leverage
    seconds = BARS.open_time.to_numpy().astype("datetime64[s]").astype(np.int64)
    for bars, funding in (
        (BARS[::-1], FUNDING[::-1]),
        (
            BARS.assign(source="an archive"),
            FUNDING.assign(source="an archive"),
        ),  # as the data folder stores them
        (BARS.assign(open_time=seconds), FUNDING),
        (BARS.assign(open_time=seconds * 1_000_000), FUNDING),
        (BARS.set_index("open_time"), FUNDING.set_index("time")),
    ):
        assert bundle.decide(bars, FLAT, funding, now="last-bar").target_leverage == expected
    with pytest.raises(BundleError, match=r"^funding of BTC-SYN: .* is repeated"):
        bundle.decide(BARS, FLAT, pd.concat([FUNDING, FUNDING.tail(2)]), now="last-bar")


def test_unknown_and_missing_columns_are_refused(bundle):
    with pytest.raises(BundleError, match=r"unknown column 'opne'. Did you mean 'open'"):
        bundle.decide(BARS.assign(opne=1.0), FLAT, FUNDING, now="last-bar")
    with pytest.raises(BundleError, match="bars: no column volume"):
        bundle.decide(BARS.drop(columns="volume"), FLAT, FUNDING, now="last-bar")
    with pytest.raises(BundleError, match="give all four or none"):
        bundle.decide(BARS.drop(columns="mark_low"), FLAT, FUNDING, now="last-bar")
    with pytest.raises(BundleError, match=r"funding: .*funding_rate.* read settlements"):
        bundle.decide(BARS, FLAT, now="last-bar")
    with pytest.raises(BundleError, match="it takes time, rate"):
        bundle.decide(BARS, FLAT, FUNDING.rename(columns={"rate": "price"}), now="last-bar")
    with pytest.raises(BundleError, match="contract 'DOGEUSDT' is not in this bundle"):
        bundle.decide(BARS.assign(contract="DOGEUSDT"), FLAT, FUNDING, now="last-bar")


def test_a_nan_price_is_refused_by_its_stamp(bundle):
    broken = BARS.copy()
    broken.loc[broken.index[-60], "close"] = np.nan
    with pytest.raises(BundleError, match=r"bars: .*last of BTC-SYN"):
        bundle.decide(broken, FLAT, FUNDING, now="last-bar")


def test_traded_prices_stand_in_for_missing_marks_and_it_is_said(bundle):
    decision = bundle.decide(cases.bar_table(cases.market(), mark=False), FLAT, FUNDING, now="last-bar")
    assert "traded prices are used" in " ".join(decision.reasons)


@pytest.mark.parametrize(
    ("account", "message"),
    [
        ({}, "neither wallet_balance nor equity"),
        ({"equty": 1.0}, "Did you mean 'equity'"),
        ({"equity": 1e4}, r"positions are missing.*unknown is not flat"),
        ({"equity": 1e4, "positions": None}, "positions are 'None'"),
        ({"equity": 1e4, "positions": []}, r"positions are '\[\]'; give an object"),
        ({"equity": 1e4, "positions": {"BTC-SYN": {}}}, "no quantity; give 0 for a flat one"),
        (
            {"equity": 1e4, "positions": {"BTC-SYN": {"quantity": 0.0, "liquidated": "false"}}},
            "must be true or false",
        ),
        ({"equity": "much", "positions": {}}, "must be a finite number"),
        (
            {"equity": "10000", "positions": {}},
            "the text '10000'; it must be a finite number below 1e18, without quotes",
        ),
        ({"equity": 1e4, "peak_equity": -1.0, "positions": {}}, "peak_equity -1 must be positive"),
        (
            {
                "equity": 1e4,
                "positions": {"BTC-SYN": {"quantity": 0.1, "entry_price": 9e3, "leverage": 2, "margin": -5}},
            },
            "margin -5.0 must not be negative",
        ),
        ({"equity": -5.0, "positions": {}}, "nothing to decide on"),
        ({"equity": 1e4, "positions": {"XRPUSDT": {"quantity": 1.0}}}, "does not decide on"),
        ({"equity": 1e4, "positions": {"BTC-SYN": {"quantity": 1.0}}}, "no entry_price, leverage"),
        ({"equity": 1e4, "positions": {"BTC-SYN": {"size": 1.0}}}, "no field 'size'"),
        (
            {
                "wallet_balance": 10.0,
                "positions": {"BTC-SYN": {"quantity": 1.0, "entry_price": 9e3, "leverage": 2}},
            },
            "exceed the wallet balance",
        ),
    ],
)
def test_an_account_that_cannot_be_is_refused(bundle, account, message):
    with pytest.raises(BundleError, match=message):
        bundle.decide(BARS, account, FUNDING, now="last-bar")


def test_files_are_read_as_tables_are(bundle, tmp_path):
    tail = BARS.tail(bundle.lookback_bars + 48)
    tail.to_parquet(tmp_path / "bars.parquet")
    tail.to_csv(tmp_path / "bars.csv", index=False)
    FUNDING.to_csv(tmp_path / "funding.csv", index=False)
    (tmp_path / "account.json").write_text(json.dumps(FLAT))
    expected = bundle.decide(BARS, FLAT, FUNDING, now="last-bar").policy_leverage["BTC-SYN"]
    for name in ("bars.parquet", "bars.csv"):
        decision = bundle.decide(
            tmp_path / name, tmp_path / "account.json", tmp_path / "funding.csv", now="last-bar"
        )
        assert decision.policy_leverage["BTC-SYN"] == pytest.approx(expected, rel=1e-6)
    with pytest.raises(BundleError, match=r"none\.csv: there is no such file"):
        bundle.decide(tmp_path / "none.csv", FLAT, FUNDING, now="last-bar")
    doubled = pd.concat([FUNDING, FUNDING.tail(1)])
    doubled.to_csv(tmp_path / "doubled.csv", index=False)
    with pytest.raises(BundleError, match=r"doubled\.csv: .* is repeated"):
        bundle.decide(BARS, FLAT, tmp_path / "doubled.csv", now="last-bar")
    with pytest.raises(BundleError, match="no path holds a zero byte"):
        bundle.decide("\0", FLAT, FUNDING, now="last-bar")
    with pytest.raises(BundleError, match=r"account\.json"):
        bundle.decide(tmp_path / "account.json", FLAT, FUNDING, now="last-bar")


def test_a_decision_prints_and_becomes_json(bundle):
    decision = bundle.decide(BARS, FLAT, FUNDING, now="last-bar")
    assert "BTC-SYN: target leverage" in str(decision)
    values = json.loads(decision.to_json())
    assert values["target_leverage"] == dict(decision.target_leverage)
    assert values["orders"][0]["side"] == "buy"


def test_a_band_policys_bundle_holds_where_the_simulator_held(tmp_path):
    config = cases.CONFIG.with_(action="leverage")
    settings = {
        "algorithm": "differentiable", "n_accounts": 16, "episode": "60d", "validate_every": 4_096,
        "network": {"layers": [8], "start_width": 0.1}, "parameters": {"n_steps": 16, "learning_rate": 0.02},
    }  # fmt: skip
    policy = train_agent(
        settings, cases.market(), cases.table(), config, seed=0, total_decisions=4_096
    ).policy
    folder = export_bundle(
        policy,
        tmp_path / "band",
        market=cases.market(),
        table=cases.table(),
        config=config,
        forecasts=cases.forecast(),
    )
    bundle, held, traded = load_bundle(folder), 0, 0
    for time, observation, account, target, simulator in cases.played(policy, config, signed_targets):
        if time < np.datetime64("2020-08-01"):
            continue
        decision = bundle.decide(BARS[BARS.open_time < time], account, FUNDING, now="last-bar")
        if np.isnan(target[0]):
            held += 1
            share = observation[simulator.layout.locate("effective_leverage")][0] / config.margin_share
            assert decision.policy_leverage["BTC-SYN"] == pytest.approx(share, rel=1e-6, abs=1e-6)
            assert decision.orders[0].side == "none"
            assert "leaves the position unchanged" in " ".join(decision.reasons)
        else:
            traded += 1
            assert decision.policy_leverage["BTC-SYN"] == pytest.approx(target[0], rel=1e-3)
    assert held > 5
    assert traded > 5


@pytest.mark.parametrize("price", [np.nan, 0.0, -5.0])
@pytest.mark.parametrize("column", ["close", "mark_close"])
def test_an_impossible_price_after_the_deciding_close_is_refused(bundle, column, price):
    late = BARS.tail(bundle.lookback_bars + 48).copy()  # hourly bars; decisions fall at midnight
    assert late["open_time"].iloc[-1].hour != 23  # so the newest bar is after the deciding close
    late.loc[late.index[-1], column] = price
    with pytest.raises(
        BundleError, match=rf"bars of BTC-SYN.* close at .* is {price}; prices must be positive"
    ):
        bundle.decide(late, FLAT, FUNDING, now="last-bar")


def test_missing_settlements_are_refused_in_the_words_of_a_decision(bundle):
    with pytest.raises(
        BundleError, match=r"funding of BTC-SYN: no settlement from .*; give all of the look-back"
    ):
        bundle.decide(BARS, FLAT, FUNDING.head(3), now="last-bar")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_age": "x"}, "max_age: 'x' is not a duration"),
        ({"max_age": "0h"}, "max_age '0h' is zero"),
        ({"max_jump": True}, "max_jump is True"),
    ],
)
def test_limits_are_checked_where_the_last_bar_decides_as_well(bundle, options, words):
    with pytest.raises(BundleError, match=words):
        bundle.decide(BARS, FLAT, FUNDING, now="last-bar", **options)


def test_a_negative_margin_is_refused_as_such(bundle):
    position = {"quantity": 0.01, "entry_price": 9e3, "leverage": 2, "margin": -1.0}
    with pytest.raises(BundleError, match=r"position in BTC-SYN: margin -1.0 must not be negative"):
        bundle.decide(
            BARS, {"wallet_balance": 1e4, "positions": {"BTC-SYN": position}}, FUNDING, now="last-bar"
        )


def test_an_account_may_hold_numbers_of_numpy(bundle):
    account = {"wallet_balance": np.int64(10_000), "peak_equity": np.float32(10_000), "positions": {}}
    assert bundle.decide(BARS, account, FUNDING, now="last-bar").orders[0].side == "buy"

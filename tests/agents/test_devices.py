"""A training runs on a GPU where there is one, and says once where there is none."""

import logging

import pytest
import torch
from tests.agents.test_training import TINY, Killed, assert_same, killed_after, train, weights
from tests.agents.toy import announced_market, toy_config

from gearing.agents import agent_settings
from gearing.agents.devices import device_of
from gearing.agents.differentiable.interval_data import interval_data
from gearing.agents.differentiable.torch_ledger import TorchLedger
from gearing.simulation import Simulator

MISSING = "cuda:99"
DIFFERENTIABLE = {
    "algorithm": "differentiable", "n_accounts": 16, "episode": "32d", "validate_every": 512,
    "network": {"layers": [8]}, "parameters": {"n_steps": 16},
}  # fmt: skip
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")


def test_a_missing_gpu_is_reported_once_and_training_runs_on_the_cpu(caplog):
    device_of.cache_clear()
    with caplog.at_level(logging.WARNING):
        trained = train(agent={**TINY, "device": MISSING}, total_decisions=256)
        train(agent={**DIFFERENTIABLE, "device": MISSING}, total_decisions=256)
    assert [r.message.partition(":")[0] for r in caplog.records if "device is" in r.message] == [
        "device is 'cuda"
    ]
    assert_same(weights(trained), weights(train(total_decisions=256)))


@pytest.mark.parametrize("name", ["gpu", "cuda:", "CUDA", "cuda:-1", ""])
def test_a_device_that_does_not_exist_is_refused(name):
    with pytest.raises(ValueError, match="it must be cpu, cuda, or cuda:1"):
        agent_settings(TINY, device=name)


def test_compiling_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match=r"no g\+\+ or clang\+\+ here"):
        train(agent={**TINY, "compile": True})


def test_losses_of_other_agents_are_not_compiled():
    with pytest.raises(ValueError, match="a2c: compile is for ppo"):
        agent_settings("a2c", compile=True)


def test_the_accounting_makes_no_tensor_on_another_device_than_its_data():
    """Tensors of the device "meta" have no values, and an operation that mixes devices fails."""
    market, table = announced_market()
    simulator = Simulator(market, table, toy_config(), n_accounts=1)
    data, ledger = interval_data(simulator).to(torch.device("meta")), TorchLedger(simulator, device="meta")
    target = torch.ones(5, 1, dtype=torch.float64, device="meta", requires_grad=True)
    now = data.at(torch.arange(5, device="meta"))
    accounts, growth, liquidated = ledger.step(ledger.open_accounts(5), target, target > 2.0, now)
    growth.sum().backward()
    assert {part.device.type for part in (*accounts, growth, liquidated, target.grad)} == {"meta"}


@needs_gpu
@pytest.mark.parametrize("agent", [TINY, DIFFERENTIABLE], ids=["ppo", "differentiable"])
def test_a_training_on_the_gpu_learns_as_on_the_cpu_and_resumes_to_the_bit(agent, tmp_path):
    device_of.cache_clear()
    agent = {**agent, "device": "cuda"}
    whole = train(agent=agent, total_decisions=4_096)
    assert whole.validation_score > whole.history[0]["score"]
    assert all(value.device.type == "cpu" for value in whole.policy.network.state_dict().values())
    with pytest.raises(Killed):
        train(agent=agent, total_decisions=4_096, checkpoint_dir=tmp_path, progress=killed_after(3))
    resumed = train(agent=agent, total_decisions=4_096, checkpoint_dir=tmp_path, resume=True)
    assert_same(weights(whole), weights(resumed))

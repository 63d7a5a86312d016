"""Training loops written for other libraries run on the environments."""

import gymnasium
import numpy as np
import pytest

import gearing


@pytest.fixture(scope="module")
def settings():
    market = gearing.synthetic_market("market-b", seed=1, years=1)
    return {"market": market, "max_leverage": 10.0, "episode_length": "30d"}


def test_a_cleanrl_style_loop_learns_on_the_native_batch(settings):
    """One file, no framework: rollout with next-step resets, advantages that stop at endings, a gradient step."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    envs = gymnasium.make_vec("gearing/Perpetual-v0", num_envs=8, **settings)
    size = envs.single_observation_space.shape[0]
    actor, critic = torch.nn.Linear(size, 1), torch.nn.Linear(size, 1)
    optimiser = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-3)
    before = actor.weight.detach().clone()
    observation = torch.tensor(envs.reset(seed=0)[0]).clamp(-5, 5)
    for _ in range(3):
        logs, values, rewards, running = [], [], [], []
        for _ in range(16):
            normal = torch.distributions.Normal(actor(observation).tanh(), 0.3)
            action = normal.sample()
            following, reward, terminated, truncated, _ = envs.step(action.clamp(-1, 1).numpy())
            logs.append(normal.log_prob(action).sum(-1))
            values.append(critic(observation).squeeze(-1))
            rewards.append(torch.tensor(reward, dtype=torch.float32))
            running.append(torch.tensor(~(terminated | truncated), dtype=torch.float32))
            observation = torch.tensor(following).clamp(-5, 5)
        value, returns = critic(observation).squeeze(-1).detach(), []
        for reward, alive in zip(reversed(rewards), reversed(running), strict=True):
            value = reward + 0.99 * alive * value
            returns.insert(0, value)
        advantage = torch.stack(returns) - torch.stack(values)
        loss = -(torch.stack(logs) * advantage.detach()).mean() + advantage.pow(2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert torch.isfinite(loss)
    assert not torch.equal(before, actor.weight)


def test_torchrl_accepts_the_scalar_env_and_the_batch(settings):
    torchrl = pytest.importorskip("torchrl.envs", reason="TorchRL is not among the pinned packages")
    env = torchrl.GymWrapper(gymnasium.make("gearing/Perpetual-v0", **settings))
    torchrl.check_env_specs(env)
    # TorchRL asks for resets in the same step.
    batch = gymnasium.make_vec("gearing/Perpetual-v0", num_envs=4, autoreset_mode="SameStep", **settings)
    rollout = torchrl.GymWrapper(batch).rollout(5)
    assert np.isfinite(rollout["next", "reward"].numpy()).all()


@pytest.mark.slow
def test_rllib_trains_an_iteration(settings):
    pytest.importorskip("ray.rllib", reason="RLlib is in the extra `cluster`")
    from ray.rllib.algorithms.ppo import PPOConfig
    from ray.tune.registry import register_env

    register_env("perpetual", lambda _: gymnasium.make("gearing/Perpetual-v0", **settings))
    config = (
        PPOConfig()
        .environment("perpetual")
        .env_runners(num_env_runners=0, num_envs_per_env_runner=4, rollout_fragment_length=50)
        .training(train_batch_size_per_learner=200, minibatch_size=100, num_epochs=1)
        .learners(num_learners=0)
    )
    result = config.build_algo().train()
    assert result["env_runners"]["num_env_steps_sampled"] >= 200

"""Zips of stable-baselines3 are read by weights only: nothing in them is unpickled."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from tests.agents.own.models import COLUMNS, model, observations

from gearing.agents import from_sb3


class Bomb:
    """Writes a file where it is unpickled."""

    def __reduce__(self):
        return (open, ("unpickled", "w"))


class Extractor(BaseFeaturesExtractor):
    def __init__(self, observation_space):
        super().__init__(observation_space, features_dim=4)

    def forward(self, observations):
        return observations


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model("ppo").save(tmp_path / "model.zip")
    return tmp_path / "model.zip"


def rewritten(path, **parts):
    """The zip with other parts: bytes, or a function of the present JSON or weights."""
    with zipfile.ZipFile(path) as old:
        content = {name: old.read(name) for name in old.namelist()}
    for name, change in parts.items():
        key = {"data": "data", "weights": "policy.pth"}[name]
        if callable(change) and name == "data":
            content[key] = json.dumps(change(json.loads(content[key]))).encode()
        elif callable(change):
            buffer = io.BytesIO()
            torch.save(change(torch.load(io.BytesIO(content[key]), weights_only=True)), buffer)
            content[key] = buffer.getvalue()
        else:
            content[key] = change
    with zipfile.ZipFile(path, "w") as new:
        for name, one in content.items():
            new.writestr(name, one)
    return path


def read(path, **given):
    return from_sb3(path, COLUMNS, action="target", **given)


def test_pickles_in_the_description_are_not_opened(path, tmp_path):
    import base64

    bomb = base64.b64encode(pickle.dumps(Bomb())).decode()

    def poisoned(data):
        return {k: {**v, ":serialized:": bomb} if isinstance(v, dict) and v else v for k, v in data.items()}

    before = read(path).network.predict(observations(), None, None, True)[0]
    after = read(rewritten(path, data=poisoned)).network.predict(observations(), None, None, True)[0]
    np.testing.assert_array_equal(before, after)
    assert not (tmp_path / "unpickled").exists()


def test_weights_that_would_have_to_be_unpickled_are_refused(path, tmp_path):
    of_torch = io.BytesIO()
    torch.save({"bomb": Bomb()}, of_torch)
    for poison in (pickle.dumps(Bomb()), pickle.dumps({"a": Bomb()}, protocol=2), of_torch.getvalue()):
        with pytest.raises(ValueError, match=r"would have to be unpickled.*from_sb3"):
            read(rewritten(path, weights=poison))
    assert not (tmp_path / "unpickled").exists()


def test_a_network_of_ones_own_in_a_zip_is_refused_with_what_to_do(tmp_path):
    made = model("ppo", policy_kwargs={"features_extractor_class": Extractor})
    made.save(tmp_path / "own.zip")
    with pytest.raises(ValueError, match=r"features extractor is .*Extractor.*pass the object"):
        read(tmp_path / "own.zip")
    # The object itself may have any extractor that torch can run.
    policy = from_sb3(made, COLUMNS, action="target")
    raw = observations()
    expected, _ = made.predict(raw, deterministic=True)
    np.testing.assert_allclose(policy.network.predict(raw, None, None, True)[0], expected, atol=1e-6)


def test_the_activation_is_read_or_given(tmp_path):
    made = model("ppo", policy_kwargs={"activation_fn": torch.nn.ELU, "net_arch": [5]})
    made.save(tmp_path / "elu.zip")
    raw = observations()
    expected, _ = made.predict(raw, deterministic=True)
    np.testing.assert_allclose(
        read(tmp_path / "elu.zip").network.predict(raw, None, None, True)[0], expected, atol=1e-6
    )
    bare = rewritten(
        tmp_path / "elu.zip", data=lambda data: {k: v for k, v in data.items() if k != "policy_kwargs"}
    )
    with pytest.raises(ValueError, match="name it, as in activation='tanh'"):
        read(bare)
    np.testing.assert_allclose(
        read(bare, activation="elu").network.predict(raw, None, None, True)[0], expected, atol=1e-6
    )


def change(**parts):
    """Changes parts of the readable description; None drops one."""
    return lambda data: {
        name: {**value, **parts[name]} if name in parts else value for name, value in data.items()
    }


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"data": b"{"}, "data"),
        ({"data": b"[]"}, "data"),
        ({"data": change(observation_space={"_shape": [400_000_000]})}, "of different models"),
        ({"data": change(observation_space={"_shape": [2, 2]})}, "only a flat Box"),
        ({"data": change(observation_space={":type:": "<class 'gymnasium.spaces.dict.Dict'>"})}, "only a flat Box"),
        ({"data": change(action_space={"high": "[1. ... 1.]"})}, r"bounds=\(low, high\)"),
        ({"data": change(action_space={"high": "[inf]"})}, "must be finite"),
        ({"data": change(action_space={"_shape": [10**9]})}, "of different models"),
        ({"data": change(policy_class={"__module__": "my.own"})}, "a class of my.own"),
        ({"data": lambda data: {**data, "policy_kwargs": {"squash_output": True}}}, "squash_output"),
        ({"data": lambda data: {**data, "policy_kwargs": {"new_thing": 1}}}, "new_thing"),
        ({"weights": lambda state: {}}, "no weights by name"),
        ({"weights": lambda state: {**state, "log_std": torch.tensor([float("nan")])}}, "not finite"),
        ({"weights": lambda state: {k: v for k, v in state.items() if "value_net.bias" not in k}}, "is no ppo model"),
        ({"weights": lambda state: {**state, "mlp_extractor.policy_net.2.weight": torch.zeros(6, 9)}}, "do not fit"),
        ({"weights": lambda state: {"other": torch.zeros(2)}}, "no known algorithm"),
        ({"weights": lambda state: {**state, "a": torch.zeros(1).expand(2**29)}}, "more than"),
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_zip_is_refused_by_name(path, parts, message):
    with pytest.raises((ValueError, TypeError), match=message) as refused:
        read(rewritten(path, **parts))
    assert "model.zip" in str(refused.value)


def test_a_file_that_is_no_zip_or_lacks_a_part_is_refused(path, tmp_path):
    (tmp_path / "text.zip").write_text("hello")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w") as archive:
        archive.writestr("something", "else")
    (tmp_path / "cut.zip").write_bytes(path.read_bytes()[:2000])
    for name, message in (("text", "is no zip"), ("empty", "holds data and policy.pth"), ("cut", "damaged"),
                          ("gone", "no such file")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            read(tmp_path / f"{name}.zip")


def test_bounds_and_algorithm_may_be_given(path):
    raw = observations()
    wide = read(path, bounds=(0, 20)).network.predict(raw, None, None, True)[0]
    narrow = read(path).network.predict(raw, None, None, True)[0]
    np.testing.assert_array_equal(np.minimum(wide, 10.0), narrow)
    assert read(path, algorithm="a2c").description.algorithm == "a2c"
    with pytest.raises(ValueError, match="Did you mean 'sac'"):
        read(path, algorithm="sacc")
    with pytest.raises(ValueError, match="lowest and the highest"):
        read(path, bounds=(3, 3))


def test_a_box_of_several_bounds_is_refused(tmp_path):
    box = spaces.Box(np.float32([0, 0]), np.float32([1, 2]))
    model("ppo", box).save(tmp_path / "two.zip")
    with pytest.raises(ValueError, match="the same for all actions"):
        from_sb3(
            tmp_path / "two.zip",
            ["log_return[A]", "trend_7d[A]", "log_return[B]", "trend_7d[B]"],
            action="target",
        )

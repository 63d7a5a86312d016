"""Statistics of VecNormalize: objects, NumPy files and mappings; no pickles."""

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from tests.agents.own.models import BOX, Numbers

from gearing.agents import save_normalisation
from gearing.agents.own.normalisation import read_normalisation

GIVEN = {"mean": [1.0, 2.0], "var": [4.0, 0.0], "epsilon": 0.25, "clip_obs": 5.0}


def test_a_column_is_centred_and_divided_by_its_standard_deviation():
    read = read_normalisation(GIVEN, 2)
    # sqrt(4 + 0.25) and sqrt(0 + 0.25)
    np.testing.assert_allclose(read["spread"], [np.sqrt(4.25), 0.5])
    np.testing.assert_array_equal(read["centre"], [1.0, 2.0])
    assert (list(read["keep"]), read["clip"]) == ([0, 1], 5.0)
    assert read_normalisation(None, 2) is None


def test_the_object_its_file_and_its_numbers_are_the_same(tmp_path):
    envs = VecNormalize(DummyVecEnv([lambda: Numbers(BOX)]))
    envs.reset()
    for _ in range(20):
        envs.step(np.zeros((1, 1), np.float32))
    path = save_normalisation(envs, tmp_path / "scaling.npz")
    first, second = (read_normalisation(one, 4) for one in (envs, path))
    for name in ("centre", "spread", "clip"):
        np.testing.assert_array_equal(first[name], second[name])
    raw = np.array([[1.0, 2.0, 3.0, 4.0]])
    scaled = np.clip((raw - first["centre"]) / first["spread"], -first["clip"], first["clip"])
    np.testing.assert_allclose(scaled, envs.normalize_obs(raw), rtol=1e-6)


def test_a_pickle_is_refused_with_what_to_do(tmp_path):
    envs = VecNormalize(DummyVecEnv([lambda: Numbers(BOX)]))
    envs.save(str(tmp_path / "scaling.pkl"))
    with pytest.raises(ValueError, match=r"pickles run code.*save_normalisation"):
        read_normalisation(str(tmp_path / "scaling.pkl"), 4)
    np.savez(tmp_path / "objects.npz", mean=np.array([{}], object), var=np.zeros(1))
    with pytest.raises(ValueError, match="cannot be read as arrays"):
        read_normalisation(tmp_path / "objects.npz", 1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mean": [0.0]}, "lacks var"),
        ({**GIVEN, "std": [1.0]}, "holds 'std'"),
        ({"mean": [0.0], "var": [1.0]}, "reads 2 columns"),
        ({**GIVEN, "mean": [0.0, np.nan]}, "not finite"),
        ({**GIVEN, "mean": "ab"}, "must be numbers"),
        ({**GIVEN, "var": [-1.0, 1.0]}, "0 or more"),
        ({**GIVEN, "epsilon": 0.0}, "not both 0"),
        ({**GIVEN, "clip_obs": 0.0}, "clip_obs more than 0"),
        (7, "give a VecNormalize"),
        ("gone.npz", "no such file"),
    ],
)
def test_statistics_that_cannot_be_used_are_refused(given, message):
    with pytest.raises((TypeError, ValueError), match=message):
        read_normalisation(given, 2)

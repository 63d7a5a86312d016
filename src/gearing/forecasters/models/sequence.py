"""A small recurrent network on past days."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gearing.forecasters.models.base import VarianceForecaster
from gearing.forecasters.models.onnx_graph import gru_graph

MOST = 3.0  # largest correction, in logs
LENGTH = 21  # days of log variance at the end of a row, newest first


@dataclass(eq=False, repr=False)
class SequenceVariance(VarianceForecaster):
    """GRU over the last days' log variances, joined by the row's other columns (Cho et al., 2014).

    The last ``length`` columns of X are daily log variances, newest first; all earlier ones are features of
    the row. The network learns the residual of a ridge regression on the same columns, under the gamma loss, so
    that it starts from a good forecast.

    Parameters
    ----------
    length, hidden, epochs : int
    learning_rate, decay : float
        Of Adam, and its weight decay.
    seed : int, default=0
        Of the initial weights; training uses all rows at once, so nothing else is random.
    """

    length: int = LENGTH
    hidden: int = 8
    epochs: int = 60
    learning_rate: float = 0.01
    decay: float = 0.01
    seed: int = 0

    def _fit(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        import torch

        from gearing.forecasters.models.linear import RidgeVariance, order_of_values, standards

        order = order_of_values(X, y)
        X, y = X[order], y[order]
        self.base_ = RidgeVariance().fit(X, y)
        self.mean_, self.spread_ = standards(X)
        self.steps_ = min(self.length, X.shape[1])
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # two are slower for a network this small
        try:
            self._train(self._tensor(X), torch.as_tensor(y / self.base_.predict(X), dtype=torch.float32))
        finally:
            torch.set_num_threads(threads)

    def _train(self, rows: Any, ratio: Any) -> None:
        import torch

        self.network_ = _network(rows.shape[1] - self.steps_, self.hidden, self.seed)
        parameters = self.network_.parameters()
        optimiser = torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.decay)
        for _ in range(self.epochs):
            optimiser.zero_grad()
            log_ratio = self._forward(rows)
            loss = (ratio * torch.exp(-log_ratio) + log_ratio).mean()  # gamma deviance, up to a constant
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network_.parameters(), 1.0)
            optimiser.step()

    def _tensor(self, X: NDArray[np.float64]) -> Any:
        import torch

        return torch.as_tensor((X - self.mean_) / self.spread_, dtype=torch.float32)

    def _forward(self, rows: Any) -> Any:
        import torch

        days = rows[:, -self.steps_ :].flip(1).unsqueeze(2)  # oldest first
        _, last = self.network_["days"](days)
        joined = torch.cat([last[0], rows[:, : -self.steps_]], dim=1)
        return self.network_["head"](joined)[:, 0]

    def _log_variance(self, X: NDArray[np.float64]) -> NDArray[np.float64]:
        import torch

        with torch.no_grad():
            correction = self._forward(self._tensor(X)).numpy().astype(np.float64)
        return np.log(self.base_.predict(X)) + np.clip(correction, -MOST, MOST)

    def to_onnx(self) -> Any:
        """ONNX model of ``predict``."""
        weights = {name: value.numpy() for name, value in self.network_.state_dict().items()}
        base = self.base_.to_onnx()
        return gru_graph(base, self.mean_, self.spread_, self.steps_, weights, MOST)


def _network(n_static: int, hidden: int, seed: int) -> Any:
    """GRU and head, initialised without changing the global generator."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return torch.nn.ModuleDict(
            {
                "days": torch.nn.GRU(1, hidden, batch_first=True),
                "head": torch.nn.Sequential(
                    torch.nn.Linear(hidden + n_static, hidden), torch.nn.Tanh(), torch.nn.Linear(hidden, 1)
                ),
            }
        )

"""The device of a training: the CPU, or a GPU where there is one."""

import logging
from functools import cache

import torch

_logger = logging.getLogger(__name__)


@cache  # one message, not one for every agent of a study
def device_of(name: str) -> torch.device:
    """The device of a name; the CPU, with a message, where this machine has no such GPU."""
    found = torch.cuda.device_count() if torch.cuda.is_available() else 0
    device = torch.device(name)
    if device.type == "cpu" or (device.index or 0) < found:
        return device
    _logger.warning(
        "device is %r, but torch %s finds %s here: training on the CPU.",
        name, torch.__version__, f"only {found} GPUs" if found else "no GPU",
    )  # fmt: skip
    return torch.device("cpu")

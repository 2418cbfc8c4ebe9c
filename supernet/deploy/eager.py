"""A network of PyTorch, to be run as an exported one is."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from supernet.devices import described


class Eager:
    """See `supernet.deploy.chunks.Runnable`."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network.eval()
        self.origin: str | None = getattr(network, "origin", None)

    @property
    def place(self) -> str:
        return f"{described(self.device)} by PyTorch"

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @torch.inference_mode()
    def estimate(self, mixture: np.ndarray, lips: np.ndarray | None) -> np.ndarray:
        video = None if lips is None else torch.from_numpy(lips)[None].to(self.device)
        return self.network(torch.from_numpy(mixture)[None].to(self.device), video)[0].float().cpu().numpy()

"""The convolutional LSTM (Shi et al., NIPS 2015), without peepholes. Pure."""

from __future__ import annotations

import torch
from torch import Tensor, nn

State = tuple[Tensor, Tensor]
"""Hidden and cell ``(N, C, h, w)`` of a ConvLSTM."""


class ConvLSTM(nn.Module):
    """One step through time at each pixel of a map of features; one convolution with zero padding."""

    def __init__(self, channels: int, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        self.gates = nn.Conv2d(channels + hidden, 4 * hidden, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, state: State | None = None) -> State:
        """``(N, C, h, w)`` and the state before, None = zero → the state after, whose first is the output."""
        if state is None:
            zero = x.new_zeros(len(x), self.gates.out_channels // 4, *x.shape[-2:])
            state = zero, zero
        hidden, cell = state
        gates = self.gates(torch.cat([x, hidden], 1)).chunk(4, dim=1)
        let_in, keep, let_out = (gate.sigmoid() for gate in gates[:3])
        cell = keep * cell + let_in * gates[3].tanh()
        return let_out * cell.tanh(), cell

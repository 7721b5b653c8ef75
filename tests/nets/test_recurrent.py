from __future__ import annotations

import torch

from vinpaint_cli.nets.blocks import ConvLSTM


def test_is_an_lstm_at_each_pixel() -> None:
    """With a 1×1 kernel every pixel is one step of torch's own LSTM cell, whose gates are i, f, g, o."""
    torch.manual_seed(4)
    cell, reference = ConvLSTM(3, 2, kernel=1), torch.nn.LSTMCell(3, 2)
    let_in, keep, let_out, new = cell.gates.weight[:, :, 0, 0].chunk(4)
    gates = torch.cat([let_in, keep, new, let_out])
    biases = [cell.gates.bias.chunk(4)[place] for place in (0, 1, 3, 2)]
    with torch.no_grad():
        reference.weight_ih.copy_(gates[:, :3])
        reference.weight_hh.copy_(gates[:, 3:])
        reference.bias_ih.copy_(torch.cat(biases))
        reference.bias_hh.zero_()
    state, expected = None, (torch.zeros(12, 2), torch.zeros(12, 2))
    for _ in range(3):
        x = torch.randn(1, 3, 3, 4)
        state = cell(x, state)
        expected = reference(x.flatten(2)[0].T, expected)
    for mine, theirs in zip(state, expected, strict=True):
        assert torch.allclose(mine.flatten(2)[0].T, theirs, atol=1e-6)


def test_no_state_is_a_state_of_zeros() -> None:
    torch.manual_seed(5)
    cell = ConvLSTM(2, 3)
    x = torch.randn(2, 2, 5, 6)
    zero = torch.zeros(2, 3, 5, 6)
    assert all(torch.equal(a, b) for a, b in zip(cell(x), cell(x, (zero, zero)), strict=True))

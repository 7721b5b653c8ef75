from __future__ import annotations

import torch

from vinpaint_cli.nets.blocks import TemporalPatchGAN


def test_sizes_and_count_of_the_papers_discriminator() -> None:
    network = TemporalPatchGAN()
    assert len(network.state_dict()) == 17
    assert sum(p.numel() for p in network.parameters()) == 17_832_256


def test_scores_are_one_map_per_frame_and_batches_stay_apart() -> None:
    torch.manual_seed(0)
    network = TemporalPatchGAN(2).eval()
    clips = torch.rand(2, 5, 3, 240, 432)
    with torch.no_grad():
        scores = network(clips)
        alone = network(clips[:1])
    assert scores.shape == (2, 5, 8, 4, 7)
    assert torch.allclose(scores[:1], alone, atol=1e-5)


def test_spectral_norm_bounds_all_layers_but_the_last() -> None:
    torch.manual_seed(0)
    network = TemporalPatchGAN(4)
    for _ in range(30):  # one step of the power iteration per pass
        network(torch.rand(1, 1, 3, 8, 8))
    norms = [torch.linalg.matrix_norm(c.weight.detach().flatten(1), 2) for c in list(network.layers)[::2]]
    assert all(0.9 < float(norm) < 1.1 for norm in norms[:-1])
    assert float(norms[-1]) != 1

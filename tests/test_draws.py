"""Random numbers that belong to a row and a step."""

import numpy as np
import torch

from anlage.draws import HELD_OUT, Draws

ROWS, LENGTHS = torch.tensor([5, 0, 7_000_000_000, 3]), torch.tensor([4, 9, 1, 700])


def pieces(draws: Draws, order: list[int], stream: int = 0) -> dict[int, list[float]]:
    """The numbers of each row, drawn together in this order."""
    lengths = LENGTHS[order]
    drawn = draws.uniform(ROWS[order], lengths, stream).split(lengths.tolist())
    return {int(row): part.tolist() for row, part in zip(ROWS[order], drawn, strict=True)}


def test_a_row_has_its_numbers_alone_and_among_others_in_any_order() -> None:
    draws = Draws(3, 11)
    together = pieces(draws, [0, 1, 2, 3])
    assert together == pieces(draws, [3, 1, 0, 2])
    assert together == {row: part for i in range(4) for row, part in pieces(draws, [i]).items()}


def test_seed_step_stream_row_and_place_all_give_other_numbers() -> None:
    base = Draws(3, 11).uniform(ROWS, LENGTHS)
    others = [Draws(4, 11).uniform(ROWS, LENGTHS), Draws(3, 12).uniform(ROWS, LENGTHS), HELD_OUT.uniform(ROWS, LENGTHS),
              Draws(3, 11).uniform(ROWS, LENGTHS, 1), Draws(3, 11).uniform(ROWS + 1, LENGTHS)]  # fmt: skip
    for other in others:
        assert (base != other).float().mean() > 0.99
        assert abs(np.corrcoef(base, other)[0, 1]) < 0.15
    assert len(base.unique()) > 0.99 * len(base)
    assert torch.equal(base, Draws(3, 11).uniform(ROWS, LENGTHS))


def test_numbers_are_uniform_and_neighbours_unrelated() -> None:
    drawn = Draws(0, 0).uniform(torch.arange(2000), torch.full((2000,), 50)).double()
    assert drawn.min() >= 0 and drawn.max() < 1
    counts = torch.histc(drawn, 20, 0, 1)
    assert ((counts - 5000).abs() < 5 * 5000**0.5).all()
    table = drawn.view(2000, 50)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.01  # places of a row
    assert abs(np.corrcoef(table[:-1].flatten(), table[1:].flatten())[0, 1]) < 0.01  # rows
    assert (table.mean(1).std() - (1 / 12 / 50) ** 0.5).abs() < 0.003


def test_a_generator_follows_from_seed_and_step() -> None:
    def first(draws: Draws) -> float:
        return float(torch.rand(1, generator=draws.generator()))

    assert first(Draws(1, 2)) == first(Draws(1, 2))
    assert len({first(Draws(seed, step)) for seed in range(5) for step in range(-1, 5)}) == 30

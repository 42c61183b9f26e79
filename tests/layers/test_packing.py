"""Packed runs in the arrangements that kernels need: nothing lost, nothing mixed."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from anlage.layers.packing import collect_rows, grouped, part_of_token, position_in_part, spaced

LENGTHS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


@given(LENGTHS, st.integers(0, 9), st.integers(1, 4))
def test_spaced_keeps_parts_apart_and_whole(lengths, gap, multiple):
    sizes = torch.tensor(lengths)
    rows = spaced(sizes, gap, multiple)
    values = torch.arange(1, int(sizes.sum()) + 1).float()
    spread = rows.spread(values, 0)
    assert torch.equal(rows.collect(spread[:, None])[:, 0], values)
    assert rows.columns % multiple == 0
    owners = rows.spread(part_of_token(sizes) + 1, 0)
    for row in owners:
        if gap and rows.rows == 1:
            for shift in range(1, gap + 1):
                a, b = row[:-shift], row[shift:]
                assert not ((a != b) & (a > 0) & (b > 0)).any()
        for start in range(0, rows.columns, multiple):
            assert len(set(row[start : start + multiple].tolist()) - {0}) <= 1


@given(LENGTHS, st.floats(0, 0.5))
def test_grouped_loses_no_token_and_wastes_little(lengths, waste):
    sizes = torch.tensor(lengths)
    groups = grouped(sizes, waste)
    values = torch.randn(int(sizes.sum()), 2)
    rows = groups.split(values)
    assert torch.equal(groups.join(rows), values)
    owners = groups.split(part_of_token(sizes)[:, None] + 1)
    for group, owner in zip(groups.groups, owners, strict=True):
        assert group.members * group.longest <= (1 + waste) * int(group.lengths.sum()) + 1e-6
        valid = torch.ones_like(owner[:, :, 0], dtype=torch.bool) if group.valid is None else group.valid
        assert torch.equal(owner[:, :, 0][valid], owner[:, :1, 0].expand(valid.shape)[valid])
        assert torch.equal(valid.sum(1), group.lengths)


def test_collecting_rows_has_the_gradient_of_indexing():
    values = torch.randn(6, 3, dtype=torch.double, requires_grad=True)
    where = torch.tensor([4, 0, 5])
    assert torch.equal(collect_rows(values, where), values[where])
    assert torch.autograd.gradcheck(lambda v: collect_rows(v, where), (values,))


def test_positions():
    assert position_in_part(torch.tensor([3, 1, 2])).tolist() == [0, 1, 2, 0, 0, 1]
    assert part_of_token(torch.tensor([3, 1, 2])).tolist() == [0, 0, 0, 1, 2, 2]

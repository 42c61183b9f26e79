"""Parts over a limit, cut into windows: each begins and ends as parts do, and every token is read in good company."""

import pytest
import torch
from encoders.published import END, START, parts

from anlage.layers.windows import windowed
from anlage.types import Tokens


def test_short_parts_stay_as_they_are():
    assert windowed(parts([1, 5, 22]), 24) is None
    mixed = windowed(parts([1, 40, 22], masks=0), 24)
    runs = mixed.layout.ids.split(mixed.layout.lengths.tolist())
    whole = parts([1, 40, 22], masks=0).ids.split([3, 42, 24])
    assert torch.equal(runs[0], whole[0]) and torch.equal(runs[-1], whole[2])


@pytest.mark.parametrize("limit", [4, 5, 7, 24])
@pytest.mark.parametrize("letters", [23, 24, 33, 57, 200])
@pytest.mark.parametrize("added", [True, False])
def test_windows_by_their_definition(limit, letters, added):
    length, ends = letters + 2, 1 if added else 0
    ids = torch.arange(100, 100 + length)  # every token tells its place
    spans = torch.stack((torch.arange(length), torch.arange(length) + 1), 1)
    if added:
        ids[0], ids[-1] = START, END
        spans[[0, -1]] = 0
    before = parts([3])
    layout = Tokens(torch.cat((before.ids, ids)), torch.tensor([5, length]), torch.cat((before.spans, spans)))
    windows = windowed(layout, limit)
    first, *runs = windows.layout.ids.split(windows.layout.lengths.tolist())
    assert torch.equal(first, before.ids[:5]) if limit >= 5 else True
    if limit < 5:  # the first part was cut as well
        runs = [run for run in runs if int(run.max()) >= 100]
    room = limit - 2 * ends
    begins = []
    for run in runs:
        assert len(run) == limit
        if added:
            assert run[0] == START and run[-1] == END
        inside = run[ends : limit - ends]
        assert torch.equal(inside, torch.arange(int(inside[0]), int(inside[0]) + room))
        begins.append(int(inside[0]))
    steps = torch.tensor(begins).diff()
    assert begins[0] == 100 + ends and begins[-1] + room == 100 + length - ends
    assert (steps > 0).all() and (steps <= max(1, room // 2)).all()
    collected = windows.collect(windows.layout.ids.float()[:, None])[:, 0].long()
    assert torch.equal(collected, layout.ids)
    place = torch.cat([torch.arange(n) for n in windows.layout.lengths.tolist()])
    owner = torch.repeat_interleave(windows.layout.lengths)
    letters_of = slice(5 + ends, 5 + length - ends)
    for letter, where in zip(layout.ids[letters_of], windows.where[letters_of], strict=True):
        own = begins[int(owner[where]) - (len(windows.layout.lengths) - len(runs))]
        assert own + int(place[where]) - ends == letter
        distances = [abs(begin + (room - 1) / 2 - int(letter)) for begin in begins]
        assert abs(own + (room - 1) / 2 - int(letter)) == min(distances)

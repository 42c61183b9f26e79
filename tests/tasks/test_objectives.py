"""What objectives hide, ask for and measure."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from anlage.draws import HELD_OUT, Draws
from anlage.encoders import lookup as encoders
from anlage.errors import AnlageError
from anlage.metrics.objectives import PERPLEXITY, TOKEN_ACCURACY
from anlage.modalities.image.modality import Image
from anlage.modalities.protein.modality import Protein
from anlage.model import Model
from anlage.parts import ColumnParts, Prepared
from anlage.shapes import ColumnsShape, GridShape
from anlage.tasks.contrastive import Contrastive
from anlage.tasks.denoising import Denoising
from anlage.tasks.masked import Masked
from anlage.tasks.masked_patches import MaskedPatches, PixelHead
from anlage.tasks.next_token import NextToken
from anlage.tasks.token_objective import is_letter
from anlage.training.batches import PreparedTable
from anlage.types import Batch, Encoded, Grid, Tokens

MASK = 1
LETTERS = "ACDEFGHIKLMNPQRSTVWY"


def proteins(count: int, low: int = 50, high: int = 400, seed: int = 0) -> PreparedTable:
    rng = np.random.default_rng(seed)
    texts = ["".join(rng.choice(list(LETTERS), n)) for n in rng.integers(low, high, count)]
    prepared = Protein().prepare(pd.DataFrame({"seq": texts}))
    return PreparedTable({"seq": prepared}, {})


def masked(**options: float) -> Masked:
    objective = Masked("masked", ["seq"], **options)
    modality = Protein().fit(pd.DataFrame({"seq": ["MKV", "MKVL"]}))
    return objective.bind(modality.shape, modality.augment)


def next_token() -> NextToken:
    modality = Protein().fit(pd.DataFrame({"seq": ["MKV", "MKVL"]}))
    return NextToken("next_token", ["seq"]).bind(modality.shape, modality.augment)


def tokens(batch: Batch) -> Tokens:
    layout = batch.parts["seq"]
    assert isinstance(layout, Tokens)
    return layout


class TestMasked:
    def test_shares_of_hidden_masked_replaced_and_kept_letters(self) -> None:
        batch = proteins(400).batch(np.arange(400))
        ((view, target),) = masked().views(batch, Draws(0, 7))
        before, after = tokens(batch), tokens(view)
        letters = int(is_letter(before).sum())
        asked = view.asked
        assert len(target) / letters == pytest.approx(0.15, abs=0.004)
        assert torch.equal(target, before.ids[asked])
        shown = after.ids[asked]
        assert (shown == MASK).float().mean() == pytest.approx(0.8, abs=0.012)
        other = (shown != MASK) & (shown != target)
        assert other.float().mean() == pytest.approx(0.1 * 19 / 20, abs=0.01)
        assert (shown == target).float().mean() == pytest.approx(0.1 + 0.1 / 20, abs=0.01)
        untouched = torch.ones(len(before.ids), dtype=torch.bool)
        untouched[asked] = False
        assert torch.equal(before.ids[untouched], after.ids[untouched])

    def test_added_tokens_are_never_hidden_and_never_stand_in_for_letters(self) -> None:
        batch = proteins(300, 5, 40).batch(np.arange(300))
        ((view, _),) = masked(rate=0.9).views(batch, Draws(1, 0))
        before, after = tokens(batch), tokens(view)
        added = ~is_letter(before)
        assert torch.equal(before.ids[added], after.ids[added]) and not added[view.asked].any()
        stand_ins = after.ids[view.asked]
        assert stand_ins[stand_ins != MASK].min() >= before.ids[is_letter(before)].min()
        rows = torch.repeat_interleave(before.lengths)
        for place in view.asked[stand_ins != MASK].tolist():  # a letter of the same sequence
            assert after.ids[place] in before.ids[(rows == rows[place]) & ~added]

    @pytest.mark.parametrize("span", [1.0, 2.0, 4.0])
    def test_spans_have_the_wished_mean_length_and_cover_the_wished_share(self, span: float) -> None:
        objective = masked(rate=0.15, span=span)
        uniform = Draws(0, 0).uniform(torch.arange(100), torch.full((100,), 500))
        drawn = objective._spans(uniform).double()
        kept = 1 - 1 / span
        cut_mean = sum(kept**d for d in range(10))
        assert drawn.mean() == pytest.approx(cut_mean, rel=0.02) and drawn.min() == 1 and drawn.max() <= 10
        batch = proteins(300, 200, 400).batch(np.arange(300))
        ((view, target),) = objective.views(batch, Draws(0, 3))
        assert len(target) / int(is_letter(tokens(batch)).sum()) == pytest.approx(0.15, abs=0.008)
        gaps = np.diff(view.asked.numpy())
        runs = 1 + (gaps != 1).sum()
        assert len(target) / runs == pytest.approx(cut_mean, rel=0.25)  # neighbouring spans join

    def test_a_span_shares_its_fate(self) -> None:
        batch = proteins(200, 200, 400).batch(np.arange(200))
        ((view, target),) = masked(rate=0.1, span=4.0).views(batch, Draws(0, 3))
        hidden = tokens(view).ids[view.asked] == MASK
        together = np.diff(view.asked.numpy()) == 1
        same = (hidden[1:] == hidden[:-1]).numpy()
        assert same[together].mean() > 0.95 > 0.8 > same[~together].mean()

    def test_the_same_letters_are_hidden_alone_among_others_and_in_pieces(self) -> None:
        table, objective = proteins(30), masked(span=3.0)

        def views(rows: list[int], draws: Draws) -> dict[int, list[int]]:
            ((view, _),) = objective.views(table.batch(np.array(rows)), draws)
            return {row: part.tolist() for row, part in zip(rows, tokens(view).ids.split(tokens(view).lengths.tolist()),
                                                            strict=True)}  # fmt: skip

        everyone = list(range(30))
        for draws in (Draws(0, 5), HELD_OUT):
            together = views(everyone, draws)
            assert together == views(everyone[::-1], draws)
            assert together == {k: v for piece in (everyone[:7], everyone[7:8], everyone[8:])
                                for k, v in views(piece, draws).items()}  # fmt: skip
        assert views(everyone, Draws(0, 5)) != views(everyone, Draws(0, 6)) != views(everyone, Draws(1, 6))

    def test_measured_are_masked_letters_alone(self) -> None:
        """Who copies what stands there scores nothing; who knows the masked letters is perfect."""
        batch = proteins(40).batch(np.arange(40))
        objective = masked()
        ((view, target),) = objective.views(batch, HELD_OUT)
        shown = tokens(view).ids[view.asked]
        copies = 30.0 * torch.eye(64)[:, : objective.tokens_shape.vocabulary][shown]
        knows = 30.0 * torch.eye(64)[:, : objective.tokens_shape.vocabulary][target]
        copied, known = (objective.measure(output, target, view) for output in (copies, knows))
        assert copied.shape == (40, 3) and copied[:, 1].sum() == 0
        assert (copied[:, 2] == known[:, 2]).all() and copied[:, 2].sum() == (shown == MASK).sum()
        truth = np.zeros((40, 1))
        assert TOKEN_ACCURACY(truth, known) == 1 and PERPLEXITY(truth, known) == pytest.approx(1, abs=1e-6)

    def test_perplexity_weighs_every_token_alike(self) -> None:
        uniform = torch.zeros(5, 20)
        batch = proteins(3, 10, 11).batch(np.arange(3))
        objective = masked()
        ((view, _),) = objective.views(batch, HELD_OUT)
        values = np.array([[math.log(20) * 5, 0, 5], [0.0, 0, 0], [math.log(20) * 2, 2, 2]])
        assert PERPLEXITY(np.zeros((3, 1)), values) == pytest.approx(20)
        assert TOKEN_ACCURACY(np.zeros((3, 1)), values) == pytest.approx(2 / 7)
        assert math.isnan(PERPLEXITY(np.zeros((1, 1)), values[1:2]))  # nothing was asked
        assert len(uniform) and view.asked is not None

    def test_a_part_of_several_samples_is_asked_for_in_each(self) -> None:
        table = proteins(4, 60, 61)
        batch = table.batch(np.arange(4))
        shared = replace(batch, index={"seq": torch.tensor([2, 0, 2, -1, 3])}, rows=torch.arange(5))
        objective = masked(rate=0.3)
        ((view, target),) = objective.views(shared, Draws(0, 0))
        model = Model({"seq": encoders.build(encoders.parse("cnn-tiny"), objective.tokens_shape)}, [objective]).eval()
        output = model(view)["masked"]
        assert len(output) == len(target)
        measured = objective.measure(output, target, view)
        assert (measured[0] == measured[2]).all() and measured[3].sum() == 0 and (measured[[0, 1, 4], 2] > 0).all()

    def test_options_out_of_range_are_named(self) -> None:
        for options, word in (({"rate": 0.0}, "rate=0.0"), ({"rate": 1.0}, "rate"), ({"span": 0.5}, "span=0.5")):
            with pytest.raises(AnlageError, match=word):
                masked(**options)


class TestNextToken:
    def test_each_token_is_asked_for_what_follows_it_within_its_part(self) -> None:
        batch = proteins(20, 5, 30).batch(np.arange(20))
        ((view, target),) = next_token().views(batch, Draws(0, 0))
        ids, lengths = tokens(batch).ids, tokens(batch).lengths
        expected = [part[1:] for part in ids.split(lengths.tolist())]
        assert torch.equal(target, torch.cat(expected))
        assert torch.equal(next_token().before(view), torch.cat([part[:-1] for part in ids.split(lengths.tolist())]))
        measured = next_token().measure(torch.zeros(len(target), 32), target, view)
        assert (measured[:, 2] == lengths.numpy() - 2).all()  # letters: neither start nor end
        assert PERPLEXITY(np.zeros((20, 1)), measured) == pytest.approx(32, rel=1e-5)

    def test_a_causal_encoder_knows_nothing_of_what_follows(self) -> None:
        objective = next_token()
        settings = replace(encoders.parse("transformer-tiny"), attention="causal", pooling="mean")  # type: ignore[call-arg]
        model = Model({"seq": encoders.build(settings, objective.tokens_shape)}, [objective]).eval()
        batch = proteins(2, 30, 31).batch(np.arange(2))
        ((view, _),) = objective.views(batch, Draws(0, 0))
        changed = tokens(batch).ids.clone()
        changed[20] = 5 + (changed[20] - 4) % 20
        other = replace(view, parts={"seq": replace(tokens(batch), ids=changed)})
        with torch.no_grad():
            one, two = model(view)["next_token"], model(other)["next_token"]
        torch.testing.assert_close(one[:20], two[:20], atol=1e-5, rtol=0)
        assert not torch.allclose(one[20], two[20], atol=1e-3)


def records(count: int = 400) -> tuple[Denoising, PreparedTable]:
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(count, 3)).astype(np.float32)
    numbers[rng.random(numbers.shape) < 0.1] = np.nan
    codes = np.stack([rng.integers(0, 4, count), rng.integers(1, 3, count)], 1)
    objective = Denoising("denoising", ["record"], rate=0.4)
    objective.bind(ColumnsShape(3, (4, 3)), lambda layout, _: layout)
    return objective, PreparedTable({"record": Prepared(ColumnParts(numbers, codes), np.arange(count))}, {})


class TestDenoising:
    def test_a_share_of_the_known_cells_becomes_missing(self) -> None:
        objective, table = records()
        batch = table.batch(np.arange(400))
        ((view, target),) = objective.views(batch, Draws(0, 0))
        before, after = batch.parts["record"], view.parts["record"]
        known = ~before.numbers.isnan()
        hidden = after.numbers.isnan() & known
        assert hidden.sum() / known.sum() == pytest.approx(0.4, abs=0.04)
        there = before.categories > 0
        assert ((after.categories == 0) & there).sum() / there.sum() == pytest.approx(0.4, abs=0.05)
        assert torch.equal(target[:, :3].nan_to_num(9), before.numbers.nan_to_num(9))
        assert torch.equal(target[:, 5:8] == 1, hidden)

    def test_measured_are_the_hidden_cells_alone(self) -> None:
        objective, table = records(50)
        ((view, target),) = objective.views(table.batch(np.arange(50)), HELD_OUT)
        perfect = torch.zeros(50, 10)
        perfect[:, :3] = target[:, :3].nan_to_num(0.0)
        for j, (start, size) in enumerate(((3, 4), (7, 3))):
            code = target[:, 3 + j].nan_to_num(0.0).long()
            perfect[:, start : start + size] = 40 * torch.eye(size)[code]
        copying = perfect.clone()  # right where it is shown, wrong where it is hidden
        copying[:, :3] += 3 * (target[:, 5:8] == 1)
        best, worse = (objective.measure(output, target, view) for output in (perfect, copying))
        truth = np.zeros((50, 1))
        scores = {name: metric(truth, best) for name, metric in objective.metrics.items()}
        assert scores == {"cell_loss": pytest.approx(0, abs=1e-5), "number_error": 0, "category_accuracy": 1}
        assert objective.metrics["number_error"](truth, worse) == pytest.approx(9, abs=1e-4)
        assert best[:, 3].sum() == (target[:, 5:8] == 1).sum()

    def test_missing_cells_count_nothing(self) -> None:
        objective, table = records(60)
        ((_, target),) = objective.views(table.batch(np.arange(60)), Draws(0, 0))
        output = torch.randn(60, 10, requires_grad=True)
        total, count = objective.loss(output, target)
        assert int(count) == int((~target[:, :5].isnan()).sum())
        total.backward()
        assert (output.grad[:, :3][target[:, :3].isnan()] == 0).all()


def images(count: int = 12, space: tuple[int, ...] = (28, 20), channels: int = 2) -> Batch:
    pixels = torch.from_numpy(np.random.default_rng(0).normal(size=(count, channels, *space))).float()
    return Batch({"image": Grid(pixels)}, {"image": torch.arange(count)}, torch.arange(count))


class TestMaskedPatches:
    def test_whole_patches_are_set_to_zero_and_asked_for(self) -> None:
        objective = MaskedPatches("masked_patches", ["image"], rate=0.5)
        objective.bind(GridShape(2, (28, 20)), lambda layout, _: layout)
        batch = images()
        ((view, target),) = objective.views(batch, Draws(0, 0))
        pixels, shown = batch.parts["image"].pixels, view.parts["image"].pixels
        hidden = ~target.isnan()
        assert torch.equal(hidden, shown == 0) and torch.equal(target[hidden], pixels[hidden])
        assert torch.equal(shown[~hidden], pixels[~hidden])
        patches = hidden[:, 0].unfold(1, 4, 4).unfold(2, 4, 4).flatten(3)  # 28 / 7 = 4 pixels a side
        assert ((patches.all(3)) == (patches.any(3))).all()
        assert (patches.all(3).flatten(1).sum(1) == round(0.5 * 35)).all()

    @pytest.mark.parametrize("space", [(28, 28), (30, 17), (9, 8, 7)])
    def test_the_head_puts_pixels_where_its_elements_lie(self, space: tuple[int, ...]) -> None:
        """Behind elements that hold a patch's mean, a head can learn where bright images are bright."""
        shape = GridShape(1, space)
        torch.manual_seed(0)
        head = PixelHead(3, shape, patch=max(1, math.ceil(max(space) / 7)))
        coarse = tuple(-(-side // 4) for side in space)
        where = torch.zeros(2, *coarse)
        where[0].view(-1)[0], where[1].view(-1)[-1] = 1, 1  # bright in the first corner, in the last corner
        elements = torch.stack((where, 1 - where, where), -1).view(-1, 3)
        lengths = torch.full((2,), math.prod(coarse))
        head.norm = nn.Identity()  # type: ignore[assignment]
        with torch.no_grad():
            head.output.weight.zero_()
            head.output.weight[:, 0] = 1
            head.output.bias.zero_()
        pixels = head(Encoded(torch.zeros(2, 3), elements, lengths, coarse))
        assert pixels.shape == (2, 1, *space)
        first, last = pixels[0].flatten(), pixels[1].flatten()
        assert first[0] > 0.9 > 0.1 > first[-1] and last[-1] > 0.9 > 0.1 > last[0]

    def test_a_sample_without_an_image_counts_nothing(self) -> None:
        objective = MaskedPatches("masked_patches", ["image"])
        objective.bind(GridShape(2, (28, 20)), lambda layout, _: layout)
        batch = images(3)
        batch.index["image"], batch.rows = torch.tensor([0, -1, 2, 1]), torch.arange(4)
        encoder = encoders.build(encoders.parse("resnet-tiny"), objective.grid_shape)
        model = Model({"image": encoder}, [objective]).eval()
        ((view, target),) = objective.views(batch, Draws(0, 0))
        measured = objective.measure(model(view)["masked_patches"], target, view)
        assert measured[1].sum() == 0 and (measured[[0, 2, 3], 1] > 0).all()


class TestContrastive:
    def bound(self, **options: object) -> Contrastive:
        return Contrastive("contrastive", ["image"], **options).bind(GridShape(2, (28, 20)), Image(flip=True).augment)  # type: ignore[arg-type]

    def test_each_sample_stands_twice_in_two_variations(self) -> None:
        batch = images(6)
        ((view, target),) = self.bound().views(batch, Draws(0, 0))
        assert len(view) == 12 and target.tolist() == [*range(6)] * 2
        first, second = view.parts["image"].pixels.chunk(2)
        assert not torch.equal(first, second) and not torch.equal(first, batch.parts["image"].pixels)
        ((again, _),) = self.bound().views(batch, Draws(0, 0))
        assert torch.equal(view.parts["image"].pixels, again.parts["image"].pixels)

    def test_nt_xent_is_that_of_the_paper(self) -> None:
        torch.manual_seed(0)
        output, target = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        total, count = self.bound(temperature=0.5).loss(output, target)
        unit = output / output.norm(dim=1, keepdim=True)
        expected = 0.0
        for i in range(6):
            scores = {k: math.exp(float(unit[i] @ unit[k]) / 0.5) for k in range(6) if k != i}
            expected -= math.log(scores[(i + 3) % 6] / sum(scores.values()))
        assert float(total) == pytest.approx(expected, rel=1e-5) and int(count) == 6

    def test_the_order_of_the_samples_does_not_matter(self) -> None:
        """Outputs gathered from several processes come rank after rank."""
        torch.manual_seed(0)
        output, target = torch.randn(8, 4), torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])
        order = torch.tensor([0, 1, 4, 5, 2, 3, 6, 7])
        for method in ("ntxent", "vicreg"):
            objective = self.bound(method=method)
            one, two = objective.loss(output, target)[0], objective.loss(output[order], target[order])[0]
            torch.testing.assert_close(one, two)

    def test_vicreg_punishes_distance_collapse_and_dependence(self) -> None:
        objective = self.bound(method="vicreg")
        torch.manual_seed(0)
        target = torch.arange(200).repeat(2)
        spread = torch.randn(200, 8) * 1.2
        good = objective.loss(spread.repeat(2, 1), target)[0]
        collapsed = objective.loss(torch.ones(400, 8), target)[0]
        apart = objective.loss(torch.cat((spread, torch.randn(200, 8))), target)[0]
        dependent = objective.loss(spread[:, :1].repeat(2, 8), target)[0]
        assert good < collapsed and good < apart and good < dependent

    def test_measured_is_who_is_nearest(self) -> None:
        objective = self.bound()
        ((view, target),) = objective.views(images(5), HELD_OUT)
        pairs = torch.eye(5).repeat(2, 1)
        right = objective.measure(pairs, target, view)
        wrong = objective.measure(torch.cat((torch.eye(5), torch.eye(5).roll(1, 0))), target, view)
        assert right.shape == (5, 4) and (right[:, 1:] == 2).all() and wrong[:, 1].sum() == 0
        np.testing.assert_allclose(wrong[:, 3], 2 * 0.5)  # one stranger is nearer

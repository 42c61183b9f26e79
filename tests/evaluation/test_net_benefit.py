"""The decision curve."""

import numpy as np
import pytest

from anlage.evaluation.intervals import weights
from anlage.evaluation.net_benefit import decision_curve


def test_net_benefit_is_its_definition_and_lies_in_its_interval():
    rng = np.random.default_rng(0)
    truth = (rng.random((500, 1)) < 0.3).astype(float)
    p = 1 / (1 + np.exp(-(rng.normal(size=500) + 2 * truth[:, 0] - 1.5)))
    truth[:40] = np.nan
    points = decision_curve(truth, np.stack([1 - p, p], axis=1), weights(None, 500, 300, 0))
    assert [point["threshold"] for point in points] == pytest.approx(np.arange(1, 100) / 100)
    positive, p = truth[40:, 0] == 1, p[40:]
    for point in points[4::10]:
        t = point["threshold"]
        hits, alarms = ((p >= t) & positive).sum(), ((p >= t) & ~positive).sum()
        assert point["model"] == pytest.approx((hits - alarms * t / (1 - t)) / 460)
        assert point["all"] == pytest.approx(positive.mean() - (1 - positive.mean()) * t / (1 - t))
        assert point["low"] <= point["model"] <= point["high"]
    assert points[29]["low"] > max(0, points[29]["all"])  # a good model at 30 %
    assert points[0]["model"] == pytest.approx(points[0]["all"], abs=0.01)  # at 1 % it treats nearly all


def test_nothing_known_has_no_curve():
    assert decision_curve(np.full((9, 1), np.nan), np.full((9, 2), 0.5), weights(None, 9, 10, 0)) == []

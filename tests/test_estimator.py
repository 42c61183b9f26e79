"""anlage in scikit-learn's clothes."""

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from anlage.estimator import AnlageClassifier, AnlageRegressor

FAST = {"epochs": 40, "encoder": "mlp-tiny", "settings": {"resamples": 20, "baseline_budget": "1s"}}


def exceptions(estimator: Any) -> dict[str, str]:
    """scikit-learn's checks that do not apply, with the reason."""
    return {}


@parametrize_with_checks([AnlageClassifier(**FAST), AnlageRegressor(**FAST)], expected_failed_checks=exceptions)
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)

"""The default choice of inputs, on small tables for each rule and on the real ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anlage.errors import AnlageError
from anlage.modalities.giveaways import plain
from anlage.modalities.inputs import Roles, choose_inputs
from anlage.modalities.recognise import recognise
from anlage.samples.read import read

N = 300


def choose(frame: pd.DataFrame | Path, target: str, **options: tuple[str, ...]) -> Roles:
    samples = read(frame)
    return choose_inputs(samples, recognise(samples.frame), [target], **options)


def table(**columns: object) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"age": rng.normal(size=N), "y": rng.integers(0, 2, N)} | columns)


def reason(roles: Roles, column: str) -> str:
    return dict(roles.left_out)[column]


RNG = np.random.default_rng(1)
Y = np.random.default_rng(0)
Y.normal(size=N)
LABELS = Y.integers(0, 2, N)


@pytest.mark.parametrize(
    ("name", "values", "word"),
    [
        ("recordid", RNG.integers(0, 10**6, N), "id"),
        ("patient_id", RNG.integers(0, 9, N), "id"),
        ("comment", [f"seen {i}" for i in range(N)], "free text"),
        ("doctor", [f"Dr {i}" for i in range(N)], "hardly repeats"),
        ("site", ["Bergen"] * N, "constant"),
        ("nothing", [None] * N, "no value"),
        ("fold", RNG.integers(0, 5, N), "split"),
        ("stage_of_study", ["Train", "Test"] * (N // 2), "split"),
        ("published_model_prediction", RNG.normal(size=N), "prediction"),
        ("esol_pred_log_solubility", RNG.normal(size=N), "prediction"),
        ("Length_of_stay", RNG.integers(0, 50, N), "outcome"),
        ("In-hospital death", RNG.integers(0, 2, N), "outcome"),
        ("diagnosis_code", np.where(LABELS, "I21", "Z00"), "one to one"),
        ("hidden_score", LABELS * 10 + RNG.random(N), "threshold"),
    ],
)
def test_left_out_with_a_reason(name: str, values: object, word: str) -> None:
    roles = choose(table(**{name: values}), "y")
    assert word in reason(roles, name)
    assert [i.columns for i in roles.inputs] == [["age"]]
    named = choose(table(**{name: values}), "y", input=("age",))
    assert [i.columns for i in named.inputs] == [["age"]]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("uric_acid", RNG.normal(size=N)),
        ("fluid", RNG.integers(0, 9, N)),
        ("time_of_day", RNG.integers(0, 24, N)),
        ("event_free_at_entry", RNG.integers(0, 2, N)),
        ("status", RNG.integers(0, 3, N)),
        ("good_predictor", np.where(RNG.random(N) < 0.9, LABELS, 1 - LABELS)),
        ("trains_often", RNG.integers(0, 2, N)),
        ("unique_number", RNG.permutation(N)),
    ],
)
def test_honest_columns_stay(name: str, values: object) -> None:
    assert choose(table(**{name: values}), "y").inputs[0].columns == ["age", name]


def test_a_copy_in_other_units() -> None:
    y = RNG.normal(size=N)
    roles = choose(table(y=y, celsius=y * 1.8 + 32, noisy=y + RNG.normal(size=N)), "y")
    assert "other units" in reason(roles, "celsius") and roles.inputs[0].columns == ["age", "noisy"]


def test_duration_and_event_go_together() -> None:
    pair = {"duration": RNG.random(N), "event": RNG.integers(0, 2, N)}
    assert choose(table(**pair), "y").inputs[0].columns == ["age"]
    assert choose(table(duration=pair["duration"]), "y").inputs[0].columns == ["age", "duration"]


def test_sequence_wins_over_metadata() -> None:
    sequences = ["".join(RNG.choice(list("ACDEFGHIKLMNPQRSTVWY"), 60)) for _ in range(N)]
    frame = table(sequence=sequences, mutations=RNG.integers(0, 5, N))
    roles = choose(frame, "y")
    assert [i.name for i in roles.inputs] == ["sequence"]
    assert "--input" in reason(roles, "age") and "mutations" in reason(roles, "mutations")
    both = choose(frame, "y", input=("sequence", "age", "mutations"))
    assert [(i.name, i.columns) for i in both.inputs] == [("sequence", ["sequence"]), ("record", ["age", "mutations"])]


def test_input_wins_and_errors_are_clear() -> None:
    frame = table(fold=RNG.integers(0, 5, N), words=[f"a text {i}" for i in range(N)])
    assert choose(frame, "y", input=("fold",)).inputs[0].columns == ["fold"]
    for options, word in (
        ({"input": ("y",)}, "target"),
        ({"input": ("agee",)}, "there are age"),
        ({"drop": ("agee",)}, "no such column"),
        ({"drop": ("age",)}, "no column left"),
        ({"input": ("age",), "drop": ("age",)}, "--drop"),
    ):
        with pytest.raises(AnlageError, match=word):
            choose(frame, "y", **options)


def test_reserved_and_dropped_columns() -> None:
    frame = table(centre=RNG.integers(0, 5, N), bmi=RNG.normal(size=N))
    roles = choose(frame, "y", reserved=("centre",), drop=("bmi",))
    assert roles.inputs[0].columns == ["age"]


def test_plain_names() -> None:
    assert [plain(n) for n in ("In-hospital_death", "lengthOfStay", "alk.phos")] == [
        "in_hospital_death",
        "length_of_stay",
        "alk_phos",
    ]


REAL = {
    # file: (target, input name, modality, number of columns, a column that must be left out)
    "proteins/deeploc1.csv.gz": ("location", "sequence", "protein", 1, "split"),
    "proteins/tape_fluorescence.csv.gz": ("log_fluorescence", "sequence", "protein", 1, "mutations"),
    "proteins/tape_stability.csv.gz": ("stability", "sequence", "protein", 1, "split"),
    "proteins/tape_remote_homology.csv.gz": ("fold", "sequence", "protein", 1, "split"),
    "proteins/flip_gb1_two_vs_rest.csv.gz": ("fitness", "sequence", "protein", 1, "variant"),
    "proteins/flip_secondary_structure.csv.gz": ("ss3", "sequence", "protein", 1, "resolved_mask"),
    "proteins/signalp5_binary.csv.gz": ("signal_peptide", "sequence", "protein", 1, "split"),
    "dna/ienhancer2l.csv.gz": ("enhancer", "sequence", "dna", 1, "locus"),
    "dna/epdnew_tata_promoters.csv.gz": ("label", "sequence", "dna", 1, "header"),
    "dna/yeast_promoter_expression.csv.gz": (
        "measured_expression",
        "sequence_110",
        "dna",
        1,
        "published_model_prediction",
    ),
    "expression/golub.csv.gz": ("leukaemia", "record", "record", 7129, "sample"),
    "expression/tcga_brca.csv.gz": ("subtype", "record", "record", 384, "sample"),
    "clinical/metabric.csv.gz": ("event", "record", "record", 9, "duration"),
    "clinical/gbsg.csv.gz": ("event", "record", "record", 7, "duration"),
    "clinical/support.csv.gz": ("event", "record", "record", 14, "duration"),
    "clinical/physionet2012_set-a.csv.gz": ("In-hospital_death", "record", "record", 116, "Length_of_stay"),
    "clinical/pbcseq.csv.gz": ("stage", "record", "record", 15, "futime"),
    "clinical/pd_speech.csv.gz": ("class", "record", "record", 751, "class"),
    "clinical/pima.csv.gz": ("label", "record", "record", 8, "label"),
    "clinical/hypothyroid.csv.gz": ("Class", "record", "record", 27, "TBG_measured"),
    "clinical/mammography.csv.gz": ("label", "record", "record", 6, "label"),
    "images/pneumoniamnist.npz": ("label", "image", "image", 1, "split"),
}


@pytest.mark.parametrize("file", REAL)
def test_the_default_choice_on_real_tables(file: str, data: Path) -> None:
    target, name, modality, width, absent = REAL[file]
    roles = choose(data / file, target)
    assert [(i.name, i.modality.name, len(i.columns)) for i in roles.inputs] == [(name, modality, width)]
    assert absent in dict(roles.left_out)

"""Pretraining as a user does it: a corpus in, an encoder out that a fit can use, whatever happens on the way."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from corpus.examples import fasta, texts, walks

import anlage
from anlage import pretraining
from anlage.commands import pretrain
from anlage.config import load_settings, merge, option_groups, save_settings, to_dict
from anlage.corpus.values import seen_hashes, seen_rows, text_hashes
from anlage.errors import AnlageError
from anlage.modalities.inputs import Input
from anlage.modalities.protein.modality import Protein
from anlage.modalities.record.modality import Record
from anlage.pretrain_settings import PretrainSettings
from anlage.training.loop import Interrupted

QUICK: dict[str, Any] = {"encoder": "cnn-tiny", "batch_samples": 32, "learning_rate": 3e-3, "epochs": 8}


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of this module's own."""
    folder = tmp_path_factory.mktemp("cache")
    before = os.environ.get("ANLAGE_CACHE")
    os.environ["ANLAGE_CACHE"] = str(folder)
    yield folder
    os.environ.pop("ANLAGE_CACHE") if before is None else os.environ.update(ANLAGE_CACHE=before)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 walks, one of them too long for one window and some of them twice."""
    sequences = walks(300)
    long = "".join(walks(40, seed=5))
    assert len(long) > 1022
    return fasta(tmp_path_factory.mktemp("corpus") / "walks.fasta", [*sequences, long, *sequences[:7], "M?"])


@pytest.fixture(scope="module")
def encoder(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[anlage.Run, list[str]]:
    """A finished pretraining and what it said."""
    lines: list[str] = []
    out = tmp_path_factory.mktemp("encoder") / "walks"
    return anlage.pretrain(corpus, out=out, say=lines.append, **QUICK), lines


def weights(run: anlage.Run) -> dict[str, torch.Tensor]:
    return run.contents.weights


def same(one: anlage.Run, two: anlage.Run) -> bool:
    return all(torch.equal(weights(one)[name], weights(two)[name]) for name in weights(one))


class TestBundle:
    def test_is_judged_against_unigram_and_bigram_on_rows_that_chose_nothing(self, encoder: tuple) -> None:
        run, lines = encoder
        entry = run.evaluation["targets"]["masked"]
        model, baselines = entry["model"]["test"], {n: b["test"] for n, b in entry["baselines"].items()}
        values = {n: b["perplexity"]["value"] for n, b in baselines.items()}
        assert list(baselines) == ["unigram", "bigram"] and values["unigram"] > 9 > 3.5 > values["bigram"]
        assert model["perplexity"]["value"] < values["bigram"] - 0.3
        assert run.verdict.startswith("better than the baseline (bigram)") and run.verdict in lines
        assert entry["primary"] == "perplexity" and entry["resampled"] in ("rows", "groups")
        assert entry["model"]["valid"]["perplexity"]["n"] + model["perplexity"]["n"] >= 60

    def test_tells_what_became_of_the_corpus(self, encoder: tuple, corpus: Path) -> None:
        run, lines = encoder
        provenance = run.contents.provenance
        facts = {"rows": 309, "unusable": 1, "duplicates": 7, "values": 301, "long": 1}
        assert facts.items() <= provenance["corpus"].items() and provenance["sources"] == [str(corpus)]
        assert sum(provenance["rows"].values()) == 301 and provenance["rows"]["train"] == 241
        assert any("301 distinct values in 309 rows, 7 duplicates removed, 1 unusable" in line for line in lines)
        assert any(provenance["split_hash"][:12] in line for line in lines)
        assert any("unusable: row p308" in line for line in lines)
        assert any(line.startswith("step ") and "masked perplexity" in line for line in lines)

    def test_is_a_bundle_as_any_other(self, encoder: tuple) -> None:
        run, _ = encoder
        loaded = anlage.load(run.path)
        assert loaded.settings == run.settings and loaded.settings.data.corpus.endswith("walks.fasta")
        assert loaded.model.heads and not loaded.model.training
        (item,) = loaded.contents.inputs
        assert item["modality"]["modality"] == "protein" and item["encoder"]["options"]["pooling"] == "mean"
        assert loaded.contents.targets[0]["task"] == "masked" and loaded.contents.history
        assert not (run.path / "training" / "checkpoint.safetensors").exists()
        card = (run.path / "MODEL_CARD.md").read_text()
        assert "anlage fit TABLE --target COLUMN --encoder" in card and "anlage predict" not in card
        page = (run.path / "report.html").read_text()
        assert "anlage pretrain" in page and "301 distinct values" in page and "tuned on the validation" not in page

    def test_says_in_one_line_that_it_predicts_nothing(self, encoder: tuple, corpus: Path) -> None:
        run, _ = encoder
        for ask in (lambda: run.predict(corpus), lambda: next(run.predict_stream(corpus)),
                    lambda: anlage.evaluate(run, corpus), lambda: anlage.evaluate(run)):  # fmt: skip
            with pytest.raises(
                AnlageError, match=r"anlage fit TABLE --target COLUMN --encoder .*anlage embed"
            ) as error:
                ask()
            assert "\n" not in str(error.value)

    def test_remembers_what_it_was_trained_on(self, encoder: tuple) -> None:
        run, _ = encoder
        frame = pd.DataFrame({"x": [*walks(300), texts(1)[0]]})
        seen = seen_rows(run.path, Protein(), Protein().check(frame).frame)
        assert not seen[-1] and 230 <= seen.sum() <= 241  # the long one is not among these
        assert len(seen_hashes(run.path)) == 241
        (run.path / "seen.safetensors").rename(run.path / "elsewhere")
        with pytest.raises(AnlageError, match="seen.safetensors is missing"):
            anlage.load(run.path)
        (run.path / "elsewhere").rename(run.path / "seen.safetensors")

    def test_noise_is_for_fits(self, encoder: tuple) -> None:
        run, lines = encoder
        assert any("encoder of sequence" in line and "dropout 0.0, token_dropout 0.0" in line for line in lines)
        assert run.contents.inputs[0]["encoder"]["options"]["dropout"] == 0.1


def test_a_fit_takes_the_encoder_and_learns(encoder: tuple, tmp_path: Path) -> None:
    run, _ = encoder
    sequences = [*walks(60, (1, 3), seed=7), *walks(60, (1, 4), seed=8)]
    table = pd.DataFrame({"sequence": sequences, "kind": ["short"] * 60 + ["long"] * 60})
    options = {"target": "kind", "epochs": 10, "baseline_budget": "5s", "resamples": 50, "seed": 0}
    fitted = anlage.fit(
        table, out=tmp_path / "fit", encoder=str(run.path), adapt="frozen", say=lambda _: None, **options
    )
    (item,) = fitted.contents.inputs
    assert item["pretrained"]["source"] == str(run.path)
    own = {name: tensor for name, tensor in weights(fitted).items() if name.startswith("encoders.")}
    assert own and all(torch.equal(tensor, weights(run)[name]) for name, tensor in own.items())
    assert fitted.evaluation["targets"]["kind"]["model"]["test"]["accuracy"]["value"] > 0.8


class TestResume:
    OPTIONS = QUICK | {"epochs": 3, "checkpoint_seconds": 0.0}

    def test_stopped_by_signals_and_resumed(self, corpus: Path, tmp_path: Path) -> None:
        whole = anlage.pretrain(corpus, out=tmp_path / "whole", say=lambda _: None, **self.OPTIONS)
        wanted = ["step 12/", "step 18/"]

        def stop(line: str) -> None:
            if wanted and line.startswith(wanted[0]):
                os.kill(os.getpid(), signal.SIGTERM)
                wanted.pop(0)

        cut = tmp_path / "cut"
        with pytest.raises(Interrupted, match="nothing is lost"):
            anlage.pretrain(corpus, out=cut, say=stop, **self.OPTIONS)
        with pytest.raises(AnlageError, match="holds an unfinished"):
            anlage.pretrain(corpus, out=cut, **self.OPTIONS)
        with pytest.raises(AnlageError, match="other data, splits or settings"):
            anlage.pretrain(out=cut, resume=True, say=lambda _: None, seed=3)
        with pytest.raises(Interrupted):
            anlage.pretrain(out=cut, resume=True, say=stop)
        resumed = anlage.pretrain(out=cut, resume=True, say=lambda _: None)
        assert not wanted and same(whole, resumed) and resumed.settings == whole.settings
        assert resumed.evaluation["targets"] == whole.evaluation["targets"] or _but_for_seconds(resumed, whole)
        lines: list[str] = []
        assert same(anlage.pretrain(out=cut, resume=True, say=lines.append), whole) and "finished already" in lines[0]

    def test_there_must_be_something_to_resume(self, tmp_path: Path) -> None:
        with pytest.raises(AnlageError, match="nothing to resume"):
            anlage.pretrain(out=tmp_path, resume=True)

    def test_a_corpus_must_be_named_and_a_bundle_is_not_overwritten(self, encoder: tuple, corpus: Path) -> None:
        with pytest.raises(AnlageError, match="name the corpus"):
            anlage.pretrain()
        with pytest.raises(AnlageError, match="already holds a bundle"):
            anlage.pretrain(corpus, out=encoder[0].path, say=lambda _: None, **QUICK)

    def test_a_budget_becomes_steps(self, corpus: Path, tmp_path: Path) -> None:
        lines: list[str] = []
        options = QUICK | {"epochs": 10_000, "budget": "3s"}
        run = anlage.pretrain(corpus, out=tmp_path / "run", say=lines.append, **options)
        assert any("budget 3s" in line for line in lines) and run.evaluation["training"]["seconds"] < 30


def _but_for_seconds(one: anlage.Run, two: anlage.Run) -> bool:
    def plain(run: anlage.Run) -> dict:
        entry = run.evaluation["targets"]["masked"]
        return {name: entry[name] for name in ("model", "differences", "verdict")}

    return plain(one) == plain(two)


class TestObjectives:
    def test_next_token_makes_the_encoder_causal(self, corpus: Path, tmp_path: Path) -> None:
        options = QUICK | {"encoder": "transformer-tiny", "objective": "next_token", "epochs": 6}
        run = anlage.pretrain(corpus, out=tmp_path / "run", say=lambda _: None, **options)
        chosen = run.contents.inputs[0]["encoder"]["options"]
        assert chosen["attention"] == "causal" and chosen["pooling"] == "mean"
        values = {
            n: b["test"]["perplexity"]["value"] for n, b in run.evaluation["targets"]["next_token"]["baselines"].items()
        }
        assert values["bigram"] == pytest.approx(2, abs=0.1)  # one of two letters follows
        assert run.evaluation["targets"]["next_token"]["model"]["test"]["perplexity"]["value"] < values["unigram"] / 2
        with pytest.raises(AnlageError, match=r"cannot read from left to right; use .*transformer"):
            anlage.pretrain(corpus, out=tmp_path / "other", say=lambda _: None, **(options | {"encoder": "cnn-tiny"}))

    def test_records_learn_by_denoising(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        size = rng.normal(size=400)
        noise = 0.1 * rng.normal(size=(3, 400))
        frame = pd.DataFrame({"a": size + noise[0], "b": noise[1] - size, "c": 2 * size + noise[2]})
        frame["kind"] = np.where(size > 0, "large", "small")
        options = {"encoder": "mlp-tiny", "epochs": 30, "batch_samples": 32, "learning_rate": 3e-3}
        run = anlage.pretrain(frame, out=tmp_path / "run", say=lambda _: None, **options)
        assert run.verdict.startswith("better than the baseline (training mean)")
        entry = run.evaluation["targets"]["denoising"]
        assert entry["baselines"]["training mean"]["test"]["number_error"]["value"] == pytest.approx(1, abs=0.4)
        again = pd.DataFrame(frame, copy=True).assign(y=frame.a > 0)
        options = {"epochs": 3, "resamples": 50, "baseline_budget": "1s", "adapt": "frozen", "encoder": str(run.path)}
        inputs = ("a", "b", "c", "kind")
        fitted = anlage.fit(again, target="y", input=inputs, out=tmp_path / "fit", say=lambda _: None, **options)
        assert fitted.contents.inputs[0]["modality"]["state"] == run.contents.inputs[0]["modality"]["state"]

    def test_images_learn_by_masked_patches_and_by_contrast(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        slope = rng.normal(size=(150, 2, 1, 1))
        y, x = np.mgrid[-1:1:14j, -1:1:14j]
        planes = (128 + 50 * (slope[:, 0] * y + slope[:, 1] * x)).clip(0, 255).astype(np.uint8)
        frame = pd.DataFrame({"scan": pd.Series(list(planes), dtype=object)})
        options = {"encoder": "resnet-tiny", "epochs": 8, "batch_samples": 32, "learning_rate": 1e-2}
        run = anlage.pretrain(frame, out=tmp_path / "patches", say=lambda _: None, **options)
        assert run.verdict.startswith("better than the baseline (mean ")
        options |= {"objective": "contrastive:temperature=0.5", "column": "scan=image:flip=true", "epochs": 2}
        run = anlage.pretrain(frame, out=tmp_path / "contrast", say=lambda _: None, **options)
        assert list(run.evaluation["targets"]["contrastive"]["baselines"]) == ["raw values"]
        assert run.contents.targets[0]["state"]["options"]["temperature"] == 0.5

    def test_what_nothing_varies_cannot_be_contrasted(self, corpus: Path, tmp_path: Path) -> None:
        with pytest.raises(AnlageError, match="nothing varies protein"):
            anlage.pretrain(corpus, out=tmp_path / "run", objective="contrastive", say=lambda _: None, **QUICK)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("maskd", "no objective 'maskd'; objectives: contrastive, denoising, masked"),
            ("denoising", "not for protein; choose from contrastive, masked, next_token"),
            ("masked:rat=1", r"no option 'rat=1'; options of masked: rate=…, span=…"),
            ("masked:rate=much", "rate=much: must be a number"),
            ("masked:rate=2", "rate=2.0: give a share"),
            ("contrastive:method=magic", "must be one of ntxent, vicreg"),
            ("classification", "no objective 'classification'"),
        ],
    )
    def test_words_that_mean_no_objective_are_named(self, text: str, message: str) -> None:
        with pytest.raises(AnlageError, match=message):
            pretraining.choose_objective(text, Input("seq", Protein(), ["seq"]))

    def test_options_and_the_usual_objective_of_each_kind_of_input(self) -> None:
        chosen = pretraining.choose_objective("masked:rate=0.3,span=2", Input("seq", Protein(), ["seq"]))
        assert (chosen.name, chosen.rate, chosen.span, chosen.input) == ("masked", 0.3, 2.0, "seq")  # type: ignore[attr-defined]
        assert pretraining.choose_objective("auto", Input("record", Record(), ["a"])).name == "denoising"


def test_going_on_from_a_pretrained_encoder(encoder: tuple, tmp_path: Path) -> None:
    run, _ = encoder
    lines: list[str] = []
    other = fasta(tmp_path / "other.fasta", walks(60, seed=3))
    more = anlage.pretrain(
        other, out=tmp_path / "more", say=lines.append, **(QUICK | {"encoder": str(run.path), "epochs": 1})
    )
    first = next(line for line in lines if line.startswith("step "))
    assert float(first.split("perplexity ")[1].split()[0]) < 3  # it begins where the other ended
    assert more.contents.inputs[0]["pretrained"]["source"] == str(run.path)
    assert set(seen_hashes(run.path)) < set(seen_hashes(more.path))
    assert set(seen_hashes(more.path)) - set(seen_hashes(run.path)) <= set(text_hashes(walks(60, seed=3)))


class TestHeldOut:
    @pytest.mark.parametrize(("values", "held"), [(20, 4), (400, 80), (5_000, 200), (50_000, 500), (900_000, 5_000)])
    def test_how_many(self, values: int, held: int) -> None:
        parts = pretraining.hold_out(np.arange(values), seed=0)
        assert len(parts["valid"]) + len(parts["test"]) == held and len(parts["train"]) == values - held
        assert 1 <= len(parts["valid"]) <= 250 and len(parts["test"]) >= len(parts["valid"])
        assert np.array_equal(np.sort(np.concatenate(list(parts.values()))), np.arange(values))

    def test_the_seed_decides(self) -> None:
        one, two, other = (pretraining.hold_out(np.arange(1000), seed) for seed in (0, 0, 1))
        assert all(np.array_equal(one[part], two[part]) for part in one)
        assert not np.array_equal(one["test"], other["test"])

    def test_windows_of_a_sequence_stay_together_and_no_held_out_value_is_trained_on(self, tmp_path: Path) -> None:
        sequences = [*texts(60, 5, 30), *texts(20, 60, 200, seed=1)]
        source = fasta(tmp_path / "a.fasta", sequences)
        settings = merge(PretrainSettings(), {"corpus": str(source), "column": "sequence=protein:max_length=30"})
        plan = pretraining.plan(source, settings, None, lambda _: None)
        values = {part: set(plan.value_of_row[rows].tolist()) for part, rows in plan.rows.items()}
        assert values["train"] | values["valid"] | values["test"] == set(range(80))
        assert sum(map(len, values.values())) == 80 and sum(map(len, plan.rows.values())) > 80
        held = text_hashes([sequences[i] for i in values["valid"] | values["test"]])
        assert not set(held) & set(plan.trained_on) and len(plan.trained_on) == len(values["train"])
        assert pretraining.plan(source, settings, None, lambda _: None).split_hash == plan.split_hash


class TestCommand:
    def test_recipe_and_flags(self, corpus: Path, tmp_path: Path) -> None:
        settings = merge(
            PretrainSettings(), {"corpus": "x.fasta", "objective": "masked", "exclude": ["a.csv"], "epochs": 3}
        )
        save_settings(settings, tmp_path / "recipe.toml")
        assert load_settings(tmp_path / "recipe.toml", PretrainSettings) == settings
        command = pretrain.asked([str(corpus), "--recipe", str(tmp_path / "recipe.toml"), "--epochs", "5"])
        assert (command.data.corpus, command.objective, command.training.epochs) == (str(corpus), "masked", 5)
        assert command.data.exclude == ("a.csv",) and command.training.patience == 0
        with pytest.raises(AnlageError, match="unknown key 'objective'"):
            load_settings(tmp_path / "recipe.toml")
        (tmp_path / "bad.toml").write_text("[data]\nobjective = 'masked'")
        with pytest.raises(AnlageError, match="belongs at the top"):
            load_settings(tmp_path / "bad.toml", PretrainSettings)

    def test_paths_in_recipes_know_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANLAGE_TEST_DATA", "/somewhere")
        path = tmp_path / "recipe.toml"
        path.write_text(
            "[data]\ncorpus = '${ANLAGE_TEST_DATA}/a.fasta'\nexclude = ['${ANLAGE_TEST_DATA}/b.csv', 'c.csv']"
        )
        data = load_settings(path, PretrainSettings).data
        assert data.corpus == "/somewhere/a.fasta" and data.exclude == ("/somewhere/b.csv", "c.csv")

    def test_from_the_command_line_to_a_fit(self, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
        out = tmp_path / "encoder"
        words = [
            str(corpus),
            "--out",
            str(out),
            "--encoder",
            "cnn-tiny",
            "--epochs",
            "1",
            "--objective",
            "masked:span=2",
        ]
        pretrain.pretrain(words)
        shown = capsys.readouterr()
        assert f"--encoder {out}" in shown.out and "objective: masked (rate 0.15, span 2.0)" in shown.err
        repeated = anlage.load(out).contents.settings
        assert repeated["data"]["corpus"] == str(corpus) and repeated["objective"] == "masked:span=2"
        page = (out / "report.html").read_text()
        assert "anlage pretrain" in page and "--objective masked:span=2" in page
        with pytest.raises(AnlageError, match="which corpus"):
            pretrain.pretrain(["--epochs", "3"])

    def test_every_setting_is_a_flag_with_help_and_answers_without_torch(self) -> None:
        code = (
            "import sys\nfrom anlage.cli import main\ntry:\n    main(['pretrain', '--help'])\nexcept SystemExit as e:\n"
            "    assert e.code == 0\nassert not {'torch', 'pandas', 'numpy'} & set(sys.modules), 'heavy'"
        )
        run = {"capture_output": True, "text": True, "check": True, "cwd": Path(__file__).parents[1] / "src"}
        shown = subprocess.run([sys.executable, "-c", code], env={**os.environ, "COLUMNS": "120"}, **run).stdout
        for name in set(option_groups(PretrainSettings)) - {"corpus"}:
            assert f"--{name.replace('_', '-')}" in shown or f"--no-{name.replace('_', '-')}" in shown
        assert "anlage pretrain proteins.fasta" in shown

    def test_field_names_are_unique_over_the_groups(self) -> None:
        names = [name for group in to_dict(PretrainSettings()).values() if isinstance(group, dict) for name in group]
        assert len(names) == len(set(names)) and set(names) | {"objective", "seed"} == set(
            option_groups(PretrainSettings)
        )

"""The house stays light to enter and its imports go down only."""

import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "pandas", "numpy", "sklearn", "lightning_fabric", "matplotlib", "pyarrow", "scipy")
NAMES = [
    "fit",
    "advise",
    "resume",
    "pretrain",
    "load",
    "inspect",
    "evaluate",
    "embed",
    "search",
    "update",
    "Run",
    "Advice",
    "FitSettings",
    "EmbedSettings",
    "PretrainSettings",
    "AnlageError",
    "AnlageClassifier",
    "AnlageRegressor",
    "Encoder",
]


def python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT / "src"
    ).stdout


def loaded(code: str) -> set[str]:
    return set(python(f"import sys\n{code}\nprint('|'.join(sys.modules))").splitlines()[-1].split("|"))


def fastest(words: list[str], tries: int = 5) -> float:
    """Processor seconds of the fastest try: all that an idle machine would need, whatever else runs on this one."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], check=True, capture_output=True, cwd=ROOT / "src")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(tries))


def test_importing_anlage_imports_nothing_heavy() -> None:
    assert not loaded("import anlage; dir(anlage); anlage.__version__; anlage.FitSettings; anlage.AnlageError") & set(
        HEAVY
    )


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["predict", "--help"], ["inspect", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = f"from anlage.cli import main\ntry:\n    main({words})\nexcept SystemExit as e:\n    assert e.code == 0"
    assert not loaded(code) & set(HEAVY)


def test_import_answers_at_once() -> None:
    assert fastest(["-c", "import anlage"]) < 0.2


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"]])
def test_help_answers_at_once(words: list[str]) -> None:
    assert fastest(["-m", "anlage", *words]) < 0.4


def test_every_public_name_is_there() -> None:
    code = f"import anlage\nfor n in {NAMES}: assert getattr(anlage, n) is not None and n in dir(anlage)"
    python(code)


def test_an_unknown_name_is_an_attribute_error() -> None:
    import anlage

    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = anlage.fitt


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the source and the contracts, to plant something in."""
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(root: Path) -> subprocess.CompletedProcess[str]:
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    return subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, 'src'); {code}", "--no-cache"],
        cwd=root,
        capture_output=True,
        text=True,
    )


def test_the_contracts_hold(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("file", "planted", "named"),
    [
        ("samples/samples.py", "import anlage.api\n", "anlage.samples.samples -> anlage.api"),
        ("errors.py", "def late():\n    import anlage.types\n", "anlage.errors -> anlage.types"),
        ("metrics/metric.py", "def late():\n    from anlage import cli\n", "anlage.metrics.metric -> anlage.cli"),
        ("modalities/protocol.py", "from anlage.encoders import settings\n", "protocol -> anlage.encoders.settings"),
        ("tasks/protocol.py", "def late():\n    import anlage.modalities.protocol\n", "-> anlage.modalities.protocol"),
        ("encoders/protocol.py", "def late():\n    import anlage.tasks.protocol\n", "-> anlage.tasks.protocol"),
        ("forgotten.py", "x = 1\n", "not listed as layers:\n\n- anlage.forgotten"),
    ],
)
def test_a_forbidden_import_breaks_the_contracts(copy: Path, file: str, planted: str, named: str) -> None:
    with (copy / "src" / "anlage" / file).open("a") as stream:
        stream.write(planted)
    result = lint(copy)
    assert result.returncode == 1
    assert named in result.stdout

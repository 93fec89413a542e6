"""Computes the latest row of each id from the table `all` with Polars and compares it with the table `latest`.

Usage: check_latest.py LAKE

Of two rows of one id the one with the later `at` wins; each id is in one partition, so between equal ones the larger
offset does. Rows without `id` or `at` are in the quarantine, with the rule and the reason.
"""

import sys
from pathlib import Path

import polars as pl
from deltalake import DeltaTable

POSITION = ["_partition", "_offset"]


def read(lake: Path, table: str) -> pl.DataFrame:
    return pl.scan_delta(str(lake / table)).collect()


def main() -> int:
    lake = Path(sys.argv[1])
    rows, latest, quarantine = (read(lake, name) for name in ["all", "latest", "latest_quarantine"])
    keyed = rows.filter(pl.col("id").is_not_null() & pl.col("at").is_not_null())
    expected = keyed.sort("at", *POSITION).group_by("id").last().select(latest.columns)
    faults = []
    same = latest.sort("id").equals(expected.sort("id"))
    if not same or not latest.height:
        both = expected.join(latest, on="id", how="full", suffix="_found", coalesce=True)
        with pl.Config(tbl_rows=30, tbl_cols=20):
            print(both.filter(pl.col("_offset").ne_missing(pl.col("_offset_found"))))
        faults.append(f"latest has {latest.height} rows, {expected.height} were expected")

    no_key = pl.col("id").is_null()
    refused = rows.filter(no_key | pl.col("at").is_null())
    refused = refused.select(*POSITION, rule=pl.when(no_key).then(pl.lit("no_key")).otherwise(pl.lit("no_order")))
    found = quarantine.select(*POSITION, "rule")
    if not found.sort(POSITION).equals(refused.sort(POSITION)) or not refused.height:
        faults.append(f"the quarantine has {found.height} rows, {refused.height} were expected")

    table = DeltaTable(str(lake / "latest"))
    merges = [commit for commit in table.history() if commit["operation"] == "MERGE"]
    updated = sum(int(commit["operationMetrics"]["numTargetRowsUpdated"]) for commit in merges)
    inserted = sum(int(commit["operationMetrics"]["numTargetRowsInserted"]) for commit in merges)
    if inserted != expected.height or not updated:
        faults.append(f"{inserted} rows were inserted and {updated} updated, for {expected.height} ids")
    if table.count() != latest.height:
        faults.append(f"{table.count()} rows by the log, {latest.height} in the files")

    print("\n".join(faults) or f"latest: {latest.height} rows as expected, from {rows.height} in {len(merges)} merges")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

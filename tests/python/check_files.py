"""Compares folders of files, read as their markers say, with the Delta tables of which they are copies.

Usage: check_files.py LAKE FOLDER=TABLE...

Every file that a marker lists has the size and the number of rows that it says. CSV says no types, so its columns are
given those of the table. In the place of a folder may be one file of JSON lines.
"""

import json
import sys
from pathlib import Path

import polars as pl


TIME = pl.Datetime("us", "UTC")
# What is a text in JSON and CSV.
TEXTS = [TIME, pl.Binary]


def read_file(folder: Path, file: dict, schema: pl.Schema) -> pl.DataFrame:
    path = folder / file["path"]
    if path.stat().st_size != file["size"]:
        raise SystemExit(f"{path} has {path.stat().st_size} bytes, its marker says {file['size']}")
    partitions = file.get("partition_values", {})
    if ".parquet" in path.name:
        rows = pl.read_parquet(path)
    elif ".jsonl" in path.name:
        rows = read_lines(path, {name: kind for name, kind in schema.items() if name not in partitions})
    else:
        rows = pl.read_csv(path, infer_schema=False)
    if rows.height != file["rows"]:
        raise SystemExit(f"{path} has {rows.height} rows, its marker says {file['rows']}")
    for name, value in partitions.items():
        rows = rows.with_columns(pl.lit(value, pl.String).alias(name))
    return with_types(rows, schema)


def read_lines(path: Path, schema: dict) -> pl.DataFrame:
    text = {name: pl.String if kind in TEXTS else kind for name, kind in schema.items()}
    return pl.scan_ndjson(path, schema=text).collect()


def with_types(rows: pl.DataFrame, schema: pl.Schema) -> pl.DataFrame:
    # Files are older than columns that came later.
    missing = [name for name in schema.names() if name not in rows.columns]
    rows = rows.with_columns(pl.lit(None, schema[name]).alias(name) for name in missing)
    texts = {name: kind for name, kind in schema.items() if kind in TEXTS and rows.schema[name] == pl.String}
    rows = rows.with_columns(
        pl.col(name).str.to_datetime("%+", time_unit="us", time_zone="UTC")
        if kind == TIME
        else pl.col(name).str.decode("base64")
        for name, kind in texts.items()
    )
    # Folders and CSV say no types.
    others = {name: kind for name, kind in schema.items() if rows.schema[name] != kind}
    is_date = {name for name, kind in others.items() if kind == pl.Date and rows.schema[name] == pl.String}
    return rows.with_columns(
        pl.col(name).str.to_date() if name in is_date else pl.col(name).cast(kind) for name, kind in others.items()
    ).select(schema.names())


def read_folder(folder: Path, schema: pl.Schema) -> pl.DataFrame:
    frames = [pl.DataFrame(schema=schema)]
    for marker in sorted(folder.glob("_markers/*/*.json")):
        frames.extend(read_file(folder, file, schema) for file in json.loads(marker.read_text())["files"])
    return pl.concat(frames)


def rows_of(frame: pl.DataFrame) -> list[str]:
    return sorted(map(repr, frame.iter_rows()))


def main() -> int:
    lake, faults = Path(sys.argv[1]), []
    for folder, table in (pair.split("=") for pair in sys.argv[2:]):
        expected = pl.scan_delta(str(lake / table)).collect()
        if folder.endswith(".jsonl"):
            found = with_types(read_lines(lake / folder, expected.schema), expected.schema)
        else:
            found = read_folder(lake / folder, expected.schema)
        same = rows_of(found) == rows_of(expected)
        print(f"{folder}: {found.height} rows, {table}: {expected.height}")
        if not same or not expected.height:
            faults.append(f"{folder} is not what {table} is")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

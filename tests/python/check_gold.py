"""Computes gold from bronze and silver with Polars and compares it with the gold table.

Usage: check_gold.py LAKE

What it takes from the pipeline: event time is `ts`, the allowed delay 10 minutes, windows are
minutes, groups are machines. Each row has its own watermark: the largest event time before it in its
partition, less the delay. Rows behind it are late and count nowhere; a window is out once the
partition's last watermark has reached its end.
"""

import sys
from pathlib import Path

import polars as pl

DELAY = pl.duration(minutes=10)
KEY = ["window_start", "machine_id"]
POSITION = ["_partition", "_offset"]
# Sums may be made in another order.
TOLERANCE = 1e-9


def read(lake: Path, table: str, columns: list[str]) -> pl.DataFrame:
    return pl.scan_delta(str(lake / table)).select(columns).collect()


def watermarks(bronze: pl.DataFrame) -> pl.DataFrame:
    """For each position the watermark that its row meets; null where there is none yet."""
    before = pl.col("ts").cum_max().shift(1).over("_partition")
    return bronze.sort(POSITION).select(*POSITION, watermark=before - DELAY)


def expected_gold(lake: Path) -> pl.DataFrame:
    bronze = read(lake, "bronze", [*POSITION, "ts"])
    silver = read(lake, "silver", [*POSITION, "ts", "machine_id", "reading"])
    last = bronze.group_by("_partition").agg(last_watermark=pl.col("ts").max() - DELAY)
    timely = silver.join(watermarks(bronze), on=POSITION).filter(
        pl.col("watermark").is_null() | (pl.col("ts") >= pl.col("watermark"))
    )
    temperature = pl.col("reading").struct.field("temperature")
    pressure = pl.col("reading").struct.field("pressure")
    return (
        timely.with_columns(window_start=pl.col("ts").dt.truncate("1m"))
        .group_by("_partition", *KEY)
        .agg(
            events=pl.len().cast(pl.Int64),
            temperature_avg=temperature.mean(),
            temperature_min=temperature.min(),
            temperature_max=temperature.max(),
            pressure_sum=pressure.sum(),
        )
        .join(last, on="_partition")
        .with_columns(window_end=pl.col("window_start") + pl.duration(minutes=1))
        .filter(pl.col("window_end") <= pl.col("last_watermark"))
        .drop("_partition", "last_watermark")
    )


def differences(expected: pl.DataFrame, gold: pl.DataFrame) -> pl.DataFrame:
    """Rows that only one side has, or whose values differ."""
    both = expected.join(gold, on=KEY, how="full", suffix="_found", coalesce=True)
    values = [name for name in expected.columns if name not in KEY]
    same = pl.lit(True)
    for name in values:
        here, there = pl.col(name), pl.col(f"{name}_found")
        if expected.schema[name].is_float():
            same &= (here - there).abs() <= TOLERANCE * pl.max_horizontal(here.abs(), 1.0)
        else:
            same &= here == there
    return both.filter(~same.fill_null(False)).sort(KEY)


def main() -> int:
    lake = Path(sys.argv[1])
    expected = expected_gold(lake)
    gold = read(lake, "gold", expected.columns).with_columns(pl.col("events").cast(pl.Int64))
    repeated = gold.height - gold.select(KEY).unique().height
    differing = differences(expected, gold)
    if repeated or differing.height or not gold.height:
        print(f"gold has {gold.height} rows, {repeated} of them repeat a key; {expected.height} were expected")
        with pl.Config(tbl_rows=30, tbl_cols=20):
            print(differing)
        return 1
    print(f"gold: {gold.height} rows as expected")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Prices in euros, by rates in a file: what a step is granted is there by Python's own library.

    grants: { dir: { /rates: ./rates } }
"""

import csv
import json

from wit_world import exports
from wit_world.exports.describe import Description
from wit_world.exports.records import Outcome, Rejection
from wit_world.imports.types import (
    ColumnChanges,
    Field,
    Kind_Float64,
    TransformOutput_Columns,
    TransformPlan,
)


def read_rates(path: str) -> dict[str, float]:
    """Lines such as `USD,0.92`."""
    with open(path, newline="") as file:
        return {currency: float(rate) for currency, rate in csv.reader(file)}


class Describe(exports.Describe):
    def describe(self) -> Description:
        schema = {
            "type": "object",
            "additionalProperties": False,
            "required": ["rates"],
            "properties": {"rates": {"type": "string", "description": "A file of lines such as USD,0.92"}},
        }
        return Description("exchange", "0.1.0", "Adds prices in euros.", json.dumps(schema))


class Records(exports.Records):
    rates: dict[str, float]

    def open(self, config: str, input: list[Field]) -> TransformPlan:
        Records.rates = read_rates(json.loads(config)["rates"])
        changes = ColumnChanges([Field("euros", Kind_Float64(), True, 0)], [])
        return TransformPlan(["price", "currency"], TransformOutput_Columns(changes), ["no_rate"])

    def apply(self, rows: str) -> Outcome:
        changed, rejected = [], []
        for number, row in enumerate(json.loads(rows)):
            rate = self.rates.get(row["currency"])
            if rate is None:
                rejected.append(Rejection(number, "no_rate", f"there is no rate for {row['currency']}"))
                changed.append(None)
            else:
                changed.append({"euros": None if row["price"] is None else row["price"] * rate})
        return Outcome(None, rejected, json.dumps(changed))

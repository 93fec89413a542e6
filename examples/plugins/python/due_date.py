"""Dates as people write them, `31.01.2026`, to dates: over rows as Python's own dictionaries."""

import json
from datetime import date

from wit_world import exports
from wit_world.exports.describe import Description
from wit_world.exports.records import Outcome, Rejection
from wit_world.imports.types import (
    ColumnChanges,
    Field,
    Kind_Date32,
    TransformOutput_Columns,
    TransformPlan,
)


def due_on(text: str) -> str:
    """Raises ValueError where `text` is no date."""
    day, month, year = text.split(".")
    return date(int(year), int(month), int(day)).isoformat()


class Describe(exports.Describe):
    def describe(self) -> Description:
        schema = {
            "type": "object",
            "additionalProperties": False,
            "required": ["column"],
            "properties": {"column": {"type": "string", "description": "Texts such as 31.01.2026"}},
        }
        return Description("due-date", "0.1.0", "Reads dates as people write them.", json.dumps(schema))


class Records(exports.Records):
    # Each call gets an object of its own: what `open` learns is kept by the class.
    column: str

    def open(self, config: str, input: list[Field]) -> TransformPlan:
        Records.column = json.loads(config)["column"]
        changes = ColumnChanges([Field("due_on", Kind_Date32(), False, 0)], [self.column])
        return TransformPlan([self.column], TransformOutput_Columns(changes), ["no_due_date"])

    def apply(self, rows: str) -> Outcome:
        changed, rejected = [], []
        for number, row in enumerate(json.loads(rows)):
            text = row[self.column]
            if text is None:
                rejected.append(Rejection(number, "no_due_date", "nothing is due"))
                changed.append(None)
            else:
                changed.append({"due_on": due_on(text)})
        return Outcome(None, rejected, json.dumps(changed))

"""The day of the week of a timestamp, over typed columns: values are lists of Python's own numbers."""

import json

from wit_world import exports
from wit_world.exports.describe import Description
from wit_world.exports.transform import Outcome
from wit_world.imports.types import (
    Batch,
    Column,
    ColumnChanges,
    Error_Schema,
    Field,
    Kind_Int32,
    Kind_Timestamp,
    TimeUnit,
    TransformOutput_Columns,
    TransformPlan,
    Values_Int32,
)
from componentize_py_types import Err

UNITS_OF_A_DAY = {
    TimeUnit.SECONDS: 86_400,
    TimeUnit.MILLISECONDS: 86_400_000,
    TimeUnit.MICROSECONDS: 86_400_000_000,
    TimeUnit.NANOSECONDS: 86_400_000_000_000,
}


def weekdays(times: list[int], units_of_a_day: int) -> list[int]:
    """Monday is 1. The epoch was a Thursday."""
    return [(time // units_of_a_day + 3) % 7 + 1 for time in times]


class Describe(exports.Describe):
    def describe(self) -> Description:
        schema = {
            "type": "object",
            "additionalProperties": False,
            "required": ["column"],
            "properties": {"column": {"type": "string", "description": "The timestamps"}},
        }
        return Description("weekday", "0.1.0", "Adds the day of the week of a timestamp.", json.dumps(schema))


class Transform(exports.Transform):
    # Each call gets an object of its own: what `open` learns is kept by the class.
    units_of_a_day: int

    def open(self, config: str, input: list[Field]) -> TransformPlan:
        column = json.loads(config)["column"]
        found = next((field for field in input if field.name == column), None)
        if found is None or not isinstance(found.kind, Kind_Timestamp):
            raise Err(Error_Schema(f"there is no column `{column}` of timestamps"))
        Transform.units_of_a_day = UNITS_OF_A_DAY[found.kind.value.unit]
        weekday = Field("weekday", Kind_Int32(), True, 0)
        return TransformPlan([column], TransformOutput_Columns(ColumnChanges([weekday], [])), [])

    def apply(self, batch: Batch) -> Outcome:
        times = batch.columns[0]
        days = weekdays(times.values.value, self.units_of_a_day)
        # What is null stays null: the bitmap of the one is that of the other.
        weekday = Column(batch.rows, times.validity, Values_Int32(days))
        return Outcome(None, None, Batch(batch.rows, [weekday]))

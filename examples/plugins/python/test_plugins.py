"""The plugins without WebAssembly, against the bindings that componentize-py makes."""

import json
import tempfile
import unittest
from pathlib import Path

import due_date
import exchange
import weekday
from componentize_py_types import Err
from wit_world.imports.types import Batch, Column, Field, Kind_Timestamp, Kind_Utf8, TimestampType, TimeUnit, Values_Int64

TIMES = Field("ordered", Kind_Timestamp(TimestampType(TimeUnit.MILLISECONDS, "UTC")), True, 0)


class Weekday(unittest.TestCase):
    def test_days_are_counted_from_a_thursday(self):
        self.assertEqual(weekday.weekdays([-1, 0, 86_399, 86_400, 4 * 86_400], 86_400), [3, 4, 4, 5, 1])

    def test_a_batch(self):
        plugin = weekday.Transform()
        plan = plugin.open('{"column": "ordered"}', [TIMES])
        self.assertEqual(plan.reads, ["ordered"])
        outcome = plugin.apply(Batch(2, [Column(2, b"\x01", Values_Int64([0, 7]))]))
        self.assertEqual((outcome.batch.columns[0].values.value, outcome.batch.columns[0].validity), ([4, 4], b"\x01"))

    def test_a_column_of_another_type_is_refused(self):
        with self.assertRaises(Err):
            weekday.Transform().open('{"column": "ordered"}', [Field("ordered", Kind_Utf8(), True, 0)])


class DueDate(unittest.TestCase):
    def setUp(self):
        self.plugin = due_date.Records()
        self.plugin.open('{"column": "due"}', [])

    def test_dates_are_read_and_nothing_is_rejected(self):
        outcome = self.plugin.apply('[{"due":"31.01.2026"},{"due":null}]')
        self.assertEqual(json.loads(outcome.rows), [{"due_on": "2026-01-31"}, None])
        self.assertEqual([rejection.row for rejection in outcome.rejected], [1])

    def test_what_is_no_date_is_an_error(self):
        with self.assertRaises(ValueError):
            self.plugin.apply('[{"due":"tomorrow"}]')


class Exchange(unittest.TestCase):
    def test_prices_are_converted_where_there_is_a_rate(self):
        with tempfile.TemporaryDirectory() as folder:
            rates = Path(folder, "rates.csv")
            rates.write_text("USD,0.5\n")
            plugin = exchange.Records()
            plugin.open(json.dumps({"rates": str(rates)}), [])
        outcome = plugin.apply('[{"price":3,"currency":"USD"},{"price":3,"currency":"CHF"},{"price":null,"currency":"USD"}]')
        self.assertEqual(json.loads(outcome.rows), [{"euros": 1.5}, None, {"euros": None}])
        self.assertEqual([rejection.row for rejection in outcome.rejected], [1])


if __name__ == "__main__":
    unittest.main()

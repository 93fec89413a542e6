import assert from "node:assert/strict";
import { test } from "node:test";

import { colourAndSize, inStock, shipmentWeights } from "./logic.js";

test("weights are multiplied, and null where either is", () => {
  const weights = Float64Array.of(0.5, 2, 3);
  const quantities = BigInt64Array.of(4n, 1n, 2n);
  const both = shipmentWeights(weights, Uint8Array.of(0b011), quantities, Uint8Array.of(0b110));
  assert.deepEqual([...both.values], [2, 2, 6]);
  assert.deepEqual([...both.validity], [0b010]);
  assert.equal(shipmentWeights(weights, undefined, quantities, undefined).validity, undefined);
});

test("attributes are taken out of their text", () => {
  assert.deepEqual(colourAndSize('{"colour": "red", "size": 42}'), { colour: "red", size: "42" });
  assert.deepEqual(colourAndSize(null), { colour: undefined, size: null });
  assert.throws(() => colourAndSize("{colour: red}"), SyntaxError);
});

test("articles that are not named have no number", () => {
  assert.deepEqual(inStock([{ article: "a" }, { article: "b" }], { a: 0 }), [{ in_stock: 0 }, { in_stock: null }]);
});

// What the plugins do, apart from how it crosses the boundary.

/** Float64Array times BigInt64Array; null where either is. Bitmaps are absent where nothing is null. */
export function shipmentWeights(weights, weightsPresent, quantities, quantitiesPresent) {
  const values = new Float64Array(weights.length);
  for (let row = 0; row < values.length; row++) {
    values[row] = weights[row] * Number(quantities[row]);
  }
  const bitmaps = [weightsPresent, quantitiesPresent].filter((bitmap) => bitmap !== undefined);
  const validity = bitmaps.length < 2 ? bitmaps[0] : bitmaps[0].map((byte, at) => byte & bitmaps[1][at]);
  return { values, validity };
}

/** Throws a SyntaxError where `attributes`, a text or null, is not JSON. */
export function colourAndSize(attributes) {
  const { colour, size } = JSON.parse(attributes ?? "{}");
  return { colour, size: size === undefined ? null : String(size) };
}

/** `pieces` has numbers by article; what it does not name is not known. */
export function inStock(rows, pieces) {
  return rows.map(({ article }) => ({ in_stock: pieces[article] ?? null }));
}

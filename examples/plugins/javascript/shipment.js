// A transform over typed columns: adds `shipment_kg`, which is `weight_kg` times `quantity`. Values are typed arrays.

import { shipmentWeights } from "./logic.js";

export const describe = {
  describe() {
    return {
      name: "shipment",
      version: "0.1.0",
      summary: "Adds the weight of a shipment.",
      configSchema: JSON.stringify({ type: "object", additionalProperties: false }),
    };
  },
};

export const transform = {
  open(_config, input) {
    const isThere = (name, kind) => input.some((field) => field.name === name && field.kind.tag === kind);
    if (!isThere("weight_kg", "float64") || !isThere("quantity", "int64")) {
      throw { tag: "schema", val: "`weight_kg` must be a column of float64, `quantity` one of int64" };
    }
    const shipment = { name: "shipment_kg", kind: { tag: "float64" }, nullable: true, children: 0 };
    return {
      reads: ["weight_kg", "quantity"],
      output: { tag: "columns", val: { set: [shipment], drop: [] } },
      rules: [],
    };
  },

  apply({ rows, columns: [weights, quantities] }) {
    const { values, validity } = shipmentWeights(
      weights.values.val,
      weights.validity,
      quantities.values.val,
      quantities.validity,
    );
    const shipment = { length: rows, validity, values: { tag: "float64", val: values } };
    return { batch: { rows, columns: [shipment] } };
  },
};

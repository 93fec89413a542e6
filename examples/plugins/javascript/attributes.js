// A transform over rows as JSON: `attributes` holds JSON in a text; its members become columns. Values are objects.

import { colourAndSize } from "./logic.js";

export const describe = {
  describe() {
    return {
      name: "attributes",
      version: "0.1.0",
      summary: "Takes colour and size out of a text of JSON.",
      configSchema: JSON.stringify({ type: "object", additionalProperties: false }),
    };
  },
};

export const records = {
  open() {
    const text = (name) => ({ name, kind: { tag: "utf8" }, nullable: true, children: 0 });
    return {
      reads: ["attributes"],
      output: { tag: "columns", val: { set: [text("colour"), text("size")], drop: ["attributes"] } },
      rules: ["no_colour"],
    };
  },

  apply(rows) {
    const rejected = [];
    const changed = JSON.parse(rows).map(({ attributes }, row) => {
      const found = colourAndSize(attributes);
      if (found.colour === undefined) {
        rejected.push({ row, rule: "no_colour", reason: "the attributes name no colour" });
        return null;
      }
      return found;
    });
    return { rejected, rows: JSON.stringify(changed) };
  },
};

// What is in stock, asked of another host once for each call: what a step is granted is there by JavaScript's own library.
//
//     grants: { http: [stock.example.com] }

import { inStock } from "./logic.js";

let url;

export const describe = {
  describe() {
    const properties = { url: { type: "string", description: "Where to ask: it answers with numbers by article" } };
    return {
      name: "stock",
      version: "0.1.0",
      summary: "Adds how many pieces of an article are in stock.",
      configSchema: JSON.stringify({ type: "object", additionalProperties: false, required: ["url"], properties }),
    };
  },
};

export const records = {
  open(config) {
    ({ url } = JSON.parse(config));
    const added = { name: "in_stock", kind: { tag: "int64" }, nullable: true, children: 0 };
    return { reads: ["article"], output: { tag: "columns", val: { set: [added], drop: [] } }, rules: [] };
  },

  async apply(rows) {
    const answer = await fetch(url);
    if (!answer.ok) {
      throw new Error(`${url} answered ${answer.status}`);
    }
    return { rejected: [], rows: JSON.stringify(inStock(JSON.parse(rows), await answer.json())) };
  },
};

// node build.js SOURCE WORLD WIT OUTPUT [FEATURE…]: makes a component of a module and what it imports, with these features.

import { writeFile } from "node:fs/promises";

import { componentize } from "@bytecodealliance/componentize-js";

const [sourcePath, worldName, witPath, output, ...wanted] = process.argv.slice(2);
// What most plugins have no use for. With `stdio`, what they say of an uncaught error goes to the log.
const disableFeatures = ["random", "clocks", "http", "fetch-event"].filter((feature) => !wanted.includes(feature));
const { component } = await componentize({ sourcePath, worldName, witPath, disableFeatures });
await writeFile(output, component);

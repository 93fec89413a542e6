// node build.js SOURCE WORLD WIT OUTPUT: makes a component of a module and what it imports.

import { writeFile } from "node:fs/promises";

import { componentize } from "@bytecodealliance/componentize-js";

const [sourcePath, worldName, witPath, output] = process.argv.slice(2);
// What a plugin has no use for. With `stdio`, what it says of an uncaught error goes to the log.
const disableFeatures = ["random", "clocks", "http", "fetch-event"];
const { component } = await componentize({ sourcePath, worldName, witPath, disableFeatures });
await writeFile(output, component);

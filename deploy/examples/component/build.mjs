import { componentize } from "@bytecodealliance/componentize-js";
import { writeFile } from "node:fs/promises";

const { component } = await componentize({ sourcePath: "src/worker.js", witPath: "dist/wit", worldName: "worker" });
await writeFile("dist/worker.wasm", component);

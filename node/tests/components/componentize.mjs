// componentize.mjs SOURCE WIT_DIRECTORY WORLD OUTPUT: a JavaScript file made into a component.
// Node.js finds the toolchain beside this file, so build.sh copies it to where npm installed that.
import { componentize } from '@bytecodealliance/componentize-js';
import { writeFile } from 'node:fs/promises';

const [sourcePath, witPath, worldName, output] = process.argv.slice(2);
const { component } = await componentize({ sourcePath, witPath, worldName });
await writeFile(output, component);

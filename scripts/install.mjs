// What npm runs when the package is installed: nothing where a prebuilt addon loads on this machine, else its build.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { buildAddon } from './addon.mjs';

try {
  createRequire(import.meta.url)('node-gyp-build')(join(import.meta.dirname, '..'));
} catch {
  console.log(`helvetia: no prebuilt addon for ${process.platform}-${process.arch} loads here: building it`);
  try {
    buildAddon(['helvetia']);
  } catch (error) {
    console.error(`helvetia: ${error.message}`);
    process.exit(1);
  }
}

// The package that the commands belong to.
import { packageFacts } from '../files/package.js';

export const { root: packageRoot, version: packageVersion } = packageFacts();

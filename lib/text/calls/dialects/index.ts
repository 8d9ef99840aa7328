// The catalogue of dialects, in the order in which they are tried: the last takes every model.

import type { Dialect } from './dialect.js';
import { hermes } from './hermes.js';
import { llamaJson } from './llama-json.js';
import { mistralList } from './mistral-list.js';
import { mistralNamed } from './mistral-named.js';
import { toolsInText } from './tools-in-text.js';

export const dialects: readonly Dialect[] = [hermes, mistralList, mistralNamed, llamaJson, toolsInText];

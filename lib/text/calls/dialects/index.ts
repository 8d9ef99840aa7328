// The catalogue of dialects, in the order in which they are tried: the last takes every model.

import { commandActions } from './command-actions.js';
import { deepseekMarkup } from './deepseek-markup.js';
import { deepseekSections } from './deepseek-sections.js';
import type { Dialect } from './dialect.js';
import { gemmaCalls } from './gemma-calls.js';
import { glmArguments } from './glm-arguments.js';
import { graniteList } from './granite-list.js';
import { harmonyCalls } from './harmony-calls.js';
import { hermes } from './hermes.js';
import { kimiSections } from './kimi-sections.js';
import { llamaJson } from './llama-json.js';
import { minimaxInvoke } from './minimax-invoke.js';
import { mistralList } from './mistral-list.js';
import { mistralNamed } from './mistral-named.js';
import { nemotronList } from './nemotron-list.js';
import { olmoFunctions } from './olmo-functions.js';
import { phiList } from './phi-list.js';
import { pythonList } from './python-list.js';
import { qwenParameters } from './qwen-parameters.js';
import { seedParameters } from './seed-parameters.js';
import { taggedList } from './tagged-list.js';
import { toolsInText } from './tools-in-text.js';

export const dialects: readonly Dialect[] = [
  harmonyCalls,
  gemmaCalls,
  hermes,
  qwenParameters,
  glmArguments,
  minimaxInvoke,
  seedParameters,
  deepseekMarkup,
  deepseekSections,
  kimiSections,
  mistralList,
  mistralNamed,
  nemotronList,
  taggedList,
  commandActions,
  phiList,
  graniteList,
  pythonList,
  olmoFunctions,
  llamaJson,
  toolsInText,
];

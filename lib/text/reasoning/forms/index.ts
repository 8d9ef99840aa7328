// The catalogue of reasoning forms, in the order in which they are tried.

import { apertusInner } from './apertus-inner.js';
import { cohereThinking } from './cohere-thinking.js';
import { finalResponse } from './final-response.js';
import type { ReasoningForm } from './form.js';
import { gemmaChannel } from './gemma-channel.js';
import { harmonyAnalysis } from './harmony-analysis.js';
import { mistralThink } from './mistral-think.js';
import { seedThink } from './seed-think.js';
import { solarMessage } from './solar-message.js';
import { thinkAnswer } from './think-answer.js';
import { thinkResponse } from './think-response.js';
import { thinkTags } from './think-tags.js';
import { thoughtTags } from './thought-tags.js';

export const reasoningForms: readonly ReasoningForm[] = [
  harmonyAnalysis,
  gemmaChannel,
  cohereThinking,
  mistralThink,
  seedThink,
  solarMessage,
  finalResponse,
  apertusInner,
  thinkResponse,
  thinkAnswer,
  thoughtTags,
  thinkTags,
];

// The thread of render-thread.ts: renders what it is sent, and keeps the templates of the model that was asked for last.
import { parentPort } from 'node:worker_threads';
import { ChatTemplates, TemplateError } from '../template.js';
import type { Rendered, RenderJob } from './render-thread.js';

let kept: { key: string; templates: ChatTemplates } | undefined;

parentPort!.on('message', ({ sources, specialTokens, messages, options }: RenderJob) => {
  const key = JSON.stringify([...sources, specialTokens]);
  if (kept?.key !== key) kept = { key, templates: new ChatTemplates(sources, specialTokens) };
  let answer: Rendered;
  try {
    answer = { text: kept.templates.render(messages, options) };
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error;
    answer = { refusal: error.message };
  }
  parentPort!.postMessage(answer);
});
parentPort!.postMessage('ready');

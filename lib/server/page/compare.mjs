// One prompt, two models, side by side: most often a base model and an adapter on it.

import { answerIn } from './answer.mjs';
import * as api from './api.mjs';
import { composer } from './shell.mjs';

const byId = (id) => document.getElementById(id);

export function openCompare() {
  const [form, text, send] = ['compare-form', 'compare-text', 'compare-send'].map(byId);
  let writing;
  composer(form, text);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (writing) return writing.abort();
    const content = text.value.trim();
    if (content === '') return;
    writing = new AbortController();
    send.textContent = 'Stop';
    send.classList.add('stop');
    await Promise.all(['left', 'right'].map((side) => answer(side, content, writing.signal)));
    writing = undefined;
    send.textContent = 'Ask both';
    send.classList.remove('stop');
  });
  document.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape') writing?.abort();
  });
  document.addEventListener('shown', ({ detail }) => {
    if (detail === 'compare') text.focus();
  });
}

async function answer(side, content, signal) {
  const [place, facts] = [byId(side), byId(`${side}-facts`)];
  place.textContent = '';
  facts.textContent = '';
  place.classList.remove('failed');
  place.classList.add('writing');
  // Greedy, so that what differs is the models' doing.
  const body = {
    model: byId(`${side}-model`).value,
    messages: [{ role: 'user', content }],
    temperature: 0,
    max_tokens: Number(byId('most').value),
  };
  const started = performance.now();
  let first;
  const shown = answerIn(place);
  try {
    for await (const { text, thought, usage } of api.chat(body, signal)) {
      if (text || thought) first ??= performance.now();
      shown.write({ text, thought });
      if (usage)
        facts.textContent = summary(usage.completion_tokens, first && first - started, performance.now() - started);
    }
  } catch (error) {
    if (!signal.aborted) {
      place.classList.add('failed');
      place.textContent = error.message;
    }
  }
  place.classList.remove('writing');
}

/** `wait` is undefined where no text came. */
function summary(tokens, wait, time) {
  const first = wait === undefined ? '' : `, the first after ${Math.round(wait)} ms`;
  return `${tokens} tokens in ${(time / 1000).toFixed(2)} s${first}`;
}

// What the parts of the page share: tabs, the lists of models, the composer, and the line that says what went wrong.

import * as api from './api.mjs';

const byId = (id) => document.getElementById(id);
export const tabs = [...document.querySelectorAll('[role=tab]')];

/** Shows a failure; nothing takes the last one away. */
export function notice(problem) {
  const line = byId('notice');
  const message = problem instanceof Error ? problem.message : (problem ?? '');
  line.textContent = message;
  line.hidden = message === '';
  if (problem?.status === 401) byId('key').focus();
}

export function show(name) {
  for (const tab of tabs) {
    const chosen = tab.getAttribute('aria-controls') === name;
    tab.setAttribute('aria-selected', String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    byId(tab.getAttribute('aria-controls')).hidden = !chosen;
  }
  history.replaceState(null, '', `#${name}`);
  document.dispatchEvent(new CustomEvent('shown', { detail: name }));
}

/** Puts the models into every list of models; a list keeps what was chosen. */
export async function loadModels() {
  const { data } = await api.get('models');
  const bases = data.filter(({ parent }) => !parent);
  for (const id of ['chat-model', 'left-model', 'right-model']) fill(byId(id), data);
  fill(byId('base-model'), bases);
  const adapters = data.filter(({ parent }) => parent);
  const finished = adapters.filter(({ id }) => !id.includes(':ckpt-step-'));
  const [right, adapter] = [byId('right-model'), finished[0] ?? adapters[0]];
  if (adapter && right.dataset.chosen === undefined) right.value = adapter.id;
}

function fill(list, models) {
  const before = list.value;
  list.replaceChildren(...models.map(({ id }) => new Option(id, id)));
  if (models.some(({ id }) => id === before)) list.value = before;
}

/** Enter submits a form from its text; the text grows with its lines. */
export function composer(form, text) {
  text.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    form.requestSubmit();
  });
  text.addEventListener('input', () => {
    text.style.height = 'auto';
    text.style.height = `${text.scrollHeight}px`;
  });
}

// One job, live: its state, its losses and its events. It asks every second while the job goes on.

import * as api from './api.mjs';
import { curve } from './curve.mjs';
import { loadModels, notice, show } from './shell.mjs';

const byId = (id) => document.getElementById(id);
const mostEvents = 200;
export const ended = new Set(['succeeded', 'failed', 'cancelled']);

/** Follows a job until the signal says to stop; `changed` hears of every answer. */
export async function followJob(id, signal, changed) {
  const events = new Map();
  let finished = false;
  let shown = '';
  while (!signal.aborted) {
    try {
      const job = await api.get(`fine_tuning/jobs/${id}`);
      // Newest first: what is known already ends the reading.
      const path = `fine_tuning/jobs/${id}/events`;
      const fresh = [];
      for await (const event of api.entries(path, (entry) => events.has(entry.id))) fresh.unshift(event);
      for (const event of fresh) events.set(event.id, event);
      if (signal.aborted) return;
      changed(job);
      const state = `${job.status} ${events.size}`;
      if (state !== shown) draw(job, [...events.values()]);
      shown = state;
      if (finished) return;
      finished = ended.has(job.status);
      if (finished) await loadModels();
    } catch (error) {
      notice(error);
    }
    await new Promise((resolve) => setTimeout(resolve, document.hidden ? 5000 : 1000));
  }
}

/** Only what changed is made anew, so that a button keeps its focus. */
function draw(job, events) {
  const place = byId('job');
  const paused = isPaused(job, events);
  const frame = `${job.id} ${job.status} ${paused}`;
  if (place.dataset.frame !== frame) {
    place.dataset.frame = frame;
    place.replaceChildren(...framed(job, paused));
    place.hidden = false;
  }
  const metrics = events.filter(({ type }) => type === 'metrics').map(({ data }) => data);
  const points = metrics
    .map((data) => ({ step: data.step, train: data.train_loss, valid: data.valid_loss ?? data.full_valid_loss }))
    .sort((a, b) => a.step - b.step);
  const total = metrics.at(-1)?.total_steps;
  const last = points.at(-1);
  place.querySelector('.curve').replaceWith(curve(points, total));
  place.querySelector('.progress').textContent = last
    ? ` · step ${last.step}${total ? ` of ${total}` : ''}${Number.isFinite(last.train) ? ` · loss ${last.train.toFixed(3)}` : ''}`
    : '';
  place.querySelector('.events').replaceChildren(...events.slice(-mostEvents).reverse().map(line));
}

/** What stays as long as the job's state does; the losses and the events are filled in. */
function framed(job, paused) {
  const head = part('div', 'row');
  const state = paused ? 'paused' : job.status;
  head.append(part('h3', '', job.fine_tuned_model ?? `${job.model} · ${job.user_provided_suffix ?? job.id}`));
  head.append(part('span', `state ${state}`, state.replace('_', ' ')), ...actions(job, paused));
  const facts = part('p', 'facts legend');
  facts.append(part('i'), 'training loss');
  if (job.validation_file) facts.append(part('i', 'second'), 'validation loss');
  facts.append(part('span', 'progress'));
  const list = part('ul', 'events');
  list.tabIndex = 0;
  list.setAttribute('aria-label', 'Events');
  const problem = job.error?.message ? [part('p', 'failed', job.error.message)] : [];
  return [head, curve([]), facts, ...problem, list];
}

function line(event) {
  const made = part('li', event.level === 'error' ? 'error' : '');
  made.append(part('time', '', new Date(event.created_at * 1000).toLocaleTimeString()), event.message);
  return made;
}

/** A paused job's status is "queued"; its events tell. */
function isPaused(job, events) {
  const told = events.findLast(({ message }) => /\b(paused|resumed)\b/.test(message));
  return !ended.has(job.status) && (told?.message.includes('paused') ?? false);
}

function actions(job, paused) {
  const act = (name, path) =>
    action(name, async () => {
      try {
        await api.post(`fine_tuning/jobs/${job.id}/${path}`);
      } catch (error) {
        notice(error);
      }
    });
  if (!ended.has(job.status))
    return [paused ? act('Resume', 'resume') : act('Pause', 'pause'), act('Cancel', 'cancel')];
  if (!job.fine_tuned_model) return [];
  return [
    action('Chat', () => choose('chat', { 'chat-model': job.fine_tuned_model })),
    action('Compare', () => choose('compare', { 'left-model': job.model, 'right-model': job.fine_tuned_model })),
  ];
}

function choose(tab, models) {
  for (const [list, model] of Object.entries(models)) byId(list).value = model;
  show(tab);
}

function action(name, run) {
  const button = part('button', 'quiet', name);
  button.type = 'button';
  button.addEventListener('click', run);
  return button;
}

function part(name, className = '', text = '') {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}

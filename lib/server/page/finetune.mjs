// Data sets in, jobs started and listed.

import * as api from './api.mjs';
import { followJob } from './job.mjs';
import { notice } from './shell.mjs';

const byId = (id) => document.getElementById(id);

let following;
let followed;

export function openFinetune() {
  const drop = byId('drop');
  byId('file').addEventListener('change', ({ target }) => target.files[0] && upload(target.files[0]));
  for (const name of ['dragover', 'dragleave', 'drop']) {
    drop.addEventListener(name, (event) => {
      event.preventDefault();
      drop.classList.toggle('over', name === 'dragover');
      const [file] = event.dataTransfer.files;
      if (name === 'drop' && file) upload(file);
    });
  }
  byId('job-form').addEventListener('submit', (event) => {
    event.preventDefault();
    start();
  });
  document.addEventListener('shown', ({ detail }) => {
    if (detail === 'finetune') refresh();
  });
}

async function refresh() {
  try {
    await Promise.all([listFiles(), listJobs()]);
  } catch (error) {
    notice(error);
  }
}

async function listFiles(chosen = byId('training-file').value) {
  const { data } = await api.get('files?purpose=fine-tune');
  const list = byId('training-file');
  list.replaceChildren(...data.map(({ id, filename, bytes }) => new Option(`${filename} (${size(bytes)})`, id)));
  if (data.some(({ id }) => id === chosen)) list.value = chosen;
}

async function upload(file) {
  const words = byId('drop').querySelector('span');
  const form = new FormData();
  form.append('purpose', 'fine-tune');
  form.append('file', file);
  words.textContent = `Uploading ${file.name}…`;
  try {
    const { id } = await api.post('files', form);
    await listFiles(id);
    words.textContent = `${file.name} is uploaded`;
    notice();
  } catch (error) {
    words.textContent = 'Choose a data set or drop it here';
    notice(error);
  }
  byId('file').value = '';
}

async function start() {
  const number = (id) => (byId(id).value === '' ? 'auto' : Number(byId(id).value));
  const hyperparameters = {
    n_epochs: number('epochs'),
    batch_size: number('batch'),
    learning_rate_multiplier: number('rate'),
    ...(byId('rank').value === '' ? {} : { lora_r: number('rank') }),
  };
  const type = byId('method').value;
  const suffix = byId('suffix').value.trim();
  byId('start').disabled = true;
  try {
    const job = await api.post('fine_tuning/jobs', {
      model: byId('base-model').value,
      training_file: byId('training-file').value,
      method: { type, [type]: { hyperparameters } },
      ...(suffix ? { suffix } : {}),
    });
    notice();
    follow(job.id);
    await listJobs();
  } catch (error) {
    notice(error);
  }
  byId('start').disabled = false;
}

async function listJobs() {
  const { data } = await api.get('fine_tuning/jobs?limit=20');
  byId('jobs').replaceChildren(...data.map(entry));
  if (!followed && data.length > 0) follow(data[0].id);
}

function entry(job) {
  const item = document.createElement('li');
  const button = document.createElement('button');
  const [name, state] = [document.createElement('span'), document.createElement('span')];
  name.textContent = job.fine_tuned_model ?? `${job.model} · ${job.user_provided_suffix ?? job.id}`;
  state.className = `state ${job.status}`;
  state.textContent = job.status.replace('_', ' ');
  button.type = 'button';
  button.dataset.job = job.id;
  button.setAttribute('aria-current', String(job.id === followed));
  button.append(name, state);
  button.addEventListener('click', () => follow(job.id));
  item.append(button);
  return item;
}

function follow(id) {
  following?.abort();
  following = new AbortController();
  followed = id;
  for (const button of document.querySelectorAll('#jobs button')) {
    button.setAttribute('aria-current', String(button.dataset.job === id));
  }
  let status;
  followJob(id, following.signal, (job) => {
    if (job.status !== status && status !== undefined) listJobs().catch(notice);
    status = job.status;
  });
}

function size(bytes) {
  const units = ['B', 'kB', 'MB', 'GB'];
  const unit = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  return `${(bytes / 1000 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

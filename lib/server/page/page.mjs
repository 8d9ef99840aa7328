// The page's beginning: opens its parts, the tabs and the field for the key.

import * as api from './api.mjs';
import { openChat } from './chat.mjs';
import { openCompare } from './compare.mjs';
import { openFinetune } from './finetune.mjs';
import { loadModels, notice, show, tabs } from './shell.mjs';

const byId = (id) => document.getElementById(id);

function start() {
  for (const [index, tab] of tabs.entries()) {
    tab.addEventListener('click', () => show(tab.getAttribute('aria-controls')));
    tab.addEventListener('keydown', ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (step === undefined) return;
      const next = tabs[(index + step + tabs.length) % tabs.length];
      show(next.getAttribute('aria-controls'));
      next.focus();
    });
  }
  byId('right-model').addEventListener('change', ({ target }) => {
    target.dataset.chosen = '';
  });
  const key = byId('key');
  key.value = api.key.get();
  key.addEventListener('change', () => {
    api.key.set(key.value.trim());
    refresh();
  });
  byId('key-form').addEventListener('submit', (event) => event.preventDefault());
  openChat();
  openCompare();
  openFinetune();
  const wanted = location.hash.slice(1);
  show(tabs.some((tab) => tab.getAttribute('aria-controls') === wanted) ? wanted : 'chat');
  refresh();
}

async function refresh() {
  try {
    await loadModels();
    notice();
    show(location.hash.slice(1));
  } catch (error) {
    notice(error);
  }
}

start();

// A conversation with one model, streamed; it lives as long as the page.

import { answerIn } from './answer.mjs';
import * as api from './api.mjs';
import { composer } from './shell.mjs';

const byId = (id) => document.getElementById(id);

export function openChat() {
  const [form, text, send, log] = ['chat-form', 'chat-text', 'chat-send', 'messages'].map(byId);
  let messages = [];
  let writing;
  composer(form, text);

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (writing) return writing.abort();
    const content = text.value.trim();
    if (content === '') return;
    text.value = '';
    text.style.height = 'auto';
    const conversation = messages;
    conversation.push({ role: 'user', content });
    add(log, 'user', content);
    writing = new AbortController();
    state(true);
    const answer = await write(log, conversation, writing.signal);
    // What was not answered is not part of the conversation; a new one may have begun meanwhile.
    if (answer.text) conversation.push({ role: 'assistant', content: answer.text, reasoning_content: answer.thought });
    else conversation.pop();
    writing = undefined;
    state(false);
  });
  byId('clear').addEventListener('click', () => {
    writing?.abort();
    messages = [];
    log.replaceChildren();
    text.focus();
  });
  document.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape') writing?.abort();
  });
  document.addEventListener('shown', ({ detail }) => {
    if (detail === 'chat') text.focus();
  });

  function state(busy) {
    send.textContent = busy ? 'Stop' : 'Send';
    send.classList.toggle('stop', busy);
    log.setAttribute('aria-busy', String(busy));
  }
}

async function write(log, messages, signal) {
  const model = byId('chat-model').value;
  const system = byId('system').value.trim();
  const place = add(log, 'assistant', '', model);
  place.classList.add('writing');
  const body = {
    model,
    messages: system ? [{ role: 'system', content: system }, ...messages] : messages,
    temperature: Number(byId('temperature').value),
    max_tokens: Number(byId('most').value),
  };
  const answer = { text: '', thought: '' };
  const shown = answerIn(place);
  try {
    for await (const piece of api.chat(body, signal)) {
      const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
      answer.text += piece.text ?? '';
      answer.thought += piece.thought ?? '';
      shown.write(piece);
      if (follows) log.scrollTop = log.scrollHeight;
    }
  } catch (error) {
    if (!signal.aborted) {
      const why = document.createElement('span');
      why.className = 'failed';
      why.textContent = error.message;
      place.append(why);
    }
  }
  place.classList.remove('writing');
  return answer;
}

function add(log, role, content, who) {
  const place = document.createElement('div');
  place.className = `message ${role}`;
  if (who) {
    const name = document.createElement('span');
    name.className = 'who';
    name.textContent = who;
    place.append(name);
  }
  place.append(content);
  log.append(place);
  log.scrollTop = log.scrollHeight;
  return place;
}

// The page at `/`: files of this package, and nothing from anywhere else. The training methods are filled in.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Hono } from 'hono';
import { methodNames, methods } from '../train/methods/index.js';

// Not joined here: a bundler may leave it undefined, and the addon's error says what to do.
const folder = import.meta.dirname;

const types: Readonly<Record<string, string>> = {
  'index.html': 'text/html; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'views.css': 'text/css; charset=utf-8',
  'page.mjs': 'text/javascript; charset=utf-8',
  'shell.mjs': 'text/javascript; charset=utf-8',
  'answer.mjs': 'text/javascript; charset=utf-8',
  'api.mjs': 'text/javascript; charset=utf-8',
  'chat.mjs': 'text/javascript; charset=utf-8',
  'compare.mjs': 'text/javascript; charset=utf-8',
  'finetune.mjs': 'text/javascript; charset=utf-8',
  'job.mjs': 'text/javascript; charset=utf-8',
  'curve.mjs': 'text/javascript; charset=utf-8',
};

const headers = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

const methodChoices = methodNames.map((name) => `<option value="${name}">${methods[name].title}</option>`).join('');

/** `GET /` and `GET /assets/NAME`; they hold no secrets and need no key. */
export function pageRoutes(): Hono {
  const files = new Map<string, string>();
  const app = new Hono();
  for (const [name, type] of Object.entries(types)) {
    app.get(name === 'index.html' ? '/' : `/assets/${name}`, (c) => {
      const text =
        files.get(name) ?? readFileSync(join(folder, 'page', name), 'utf8').replace('<!-- methods -->', methodChoices);
      files.set(name, text);
      return c.body(text, 200, { ...headers, 'content-type': type });
    });
  }
  return app;
}

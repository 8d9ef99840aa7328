// The page with a model that reasons: what it thinks is folded away once it answers.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { expect, it } from 'vitest';
import { running } from './running.js';
import { thinkingModel } from './thinking.js';

const browsers = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = process.env.CHROMIUM ?? browsers.find((path) => existsSync(path));

it.skipIf(!executablePath)('shows reasoning apart from the answer', async () => {
  const folder = thinkingModel();
  const server = await running({ models: [folder.path] });
  const browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
  try {
    const page = await browser.newPage({ viewport: { width: 1000, height: 700 } });
    // The small model never ends its reasoning by itself.
    await page.route('**/v1/chat/completions', (route) => {
      const body = { ...(route.request().postDataJSON() as object), thinking_budget: 8, temperature: 0 };
      return route.continue({ postData: JSON.stringify(body) });
    });
    await page.goto(server.url);
    await page.fill('#chat-text', 'Where is Tom?');
    await page.press('#chat-text', 'Enter');
    const thoughts = page.locator('.message.assistant details.thoughts');
    await thoughts.waitFor();
    await page.locator('.message.assistant:not(.writing)').waitFor();
    expect(await thoughts.locator('p').textContent()).toMatch(/\w/);
    expect(await thoughts.getAttribute('open')).toBeNull();
    const whole = await page.locator('.message.assistant').textContent();
    expect(whole).not.toContain('think>');
    if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
  } finally {
    await browser.close();
    await server[Symbol.asyncDispose]();
    folder.dispose();
  }
});

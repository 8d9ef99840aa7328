// The page in a real browser: everything on it is done once, by keyboard where it can be.
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pageRoutes } from '../../lib/server/page.js';
import { Tokenizer } from '../../lib/text/tokenizer/tokenizer.js';
import { modelId, modelPath, type Running, running as serving } from './running.js';

const browsers = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = process.env.CHROMIUM ?? browsers.find((path) => existsSync(path));
if (!executablePath) console.warn(`skipped: there is no browser at ${browsers.join(', ')} or $CHROMIUM`);

const rows = Array.from({ length: 24 }, (_, i) => ({
  messages: [
    { role: 'user', content: `Which colour has parcel ${i}?` },
    { role: 'assistant', content: 'It is red.' },
  ],
}));

it('is served whole, with a policy that lets nothing else in', async () => {
  const page = pageRoutes();
  const html = await page.request('/');
  expect(html.headers.get('content-security-policy')).toMatch(/default-src 'none'.*frame-ancestors 'none'/);
  const shell = await html.text();
  expect(shell).toContain('<option value="dpo">Preferences (DPO)</option></select>');
  const seen = new Set<string>();
  const waiting = [...shell.matchAll(/(?:src|href)="(assets\/[^"]+)"/g)].map(([, path]) => `/${path}`);
  for (let path = waiting.pop(); path; path = waiting.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    const response = await page.request(path);
    expect(response.status, path).toBe(200);
    const text = await response.text();
    expect(text.replace('http://www.w3.org/2000/svg', ''), path).not.toMatch(/https?:\/\//);
    for (const [, name] of text.matchAll(/from '\.\/([^']+)'/g)) waiting.push(`/assets/${name}`);
  }
  expect(seen.size).toBe(11);
});

describe.skipIf(!executablePath)('in a browser', () => {
  const folder = mkdtempSync(join(tmpdir(), 'page-'));
  const problems: string[] = [];
  let browser: Browser;
  let server: Running;
  let page: Page;

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
    server = await serving({ dataDir: folder, apiKeys: ['secret'] });
    page = await browser.newPage({ viewport: { width: 1180, height: 760 } });
    watch(page);
    await page.goto(server.url);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  });

  function watch(watched: Page): void {
    watched.on('pageerror', (error) => problems.push(error.message));
    watched.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith(server.url) && !url.startsWith('data:')) problems.push(`a request to ${url}`);
    });
  }

  it('asks for the key that the server wants', async () => {
    await page.locator('#notice').filter({ hasText: /key/i }).waitFor();
    expect(await page.evaluate('document.activeElement.id')).toBe('key');
    await page.keyboard.type('secret');
    await page.keyboard.press('Enter');
    await page.locator(`#chat-model option[value="${modelId}"]`).waitFor({ state: 'attached' });
    expect(await page.locator('#notice').isHidden()).toBe(true);
    expect(await page.evaluate('document.activeElement.id')).toBe('chat-text');
    expect(await page.evaluate('localStorage.length')).toBe(0);
  });

  it('chats: Enter sends, the answer comes in pieces, Escape stops it', async () => {
    await page.locator('#most').fill('48');
    await page.locator('#chat-text').focus();
    await page.keyboard.type('Tell me about a cat.');
    await page.keyboard.press('Shift+Enter');
    await page.keyboard.type('Now.');
    await page.keyboard.press('Enter');
    await page.locator('.message.user', { hasText: 'Now.' }).waitFor();
    await page.locator('#chat-send', { hasText: 'Send' }).waitFor();
    const answer = page.locator('.message.assistant').first();
    expect((await answer.textContent())!.length).toBeGreaterThan(modelId.length + 10);
    // The next answer has no end of its own.
    const { endIds } = (await Tokenizer.fromFolder(modelPath))!;
    await page.route('**/v1/chat/completions', (route, request) => {
      const logit_bias = Object.fromEntries([...endIds].map((id) => [id, -100]));
      return route.continue({ postData: JSON.stringify({ ...request.postDataJSON(), logit_bias }) });
    });
    await page.locator('#most').fill('2000');
    await page.locator('#chat-text').fill('And a very long story about a dog.');
    await page.keyboard.press('Enter');
    await page.locator('.message.assistant.writing').waitFor();
    await page.keyboard.press('Escape');
    await page.locator('#chat-send', { hasText: 'Send' }).waitFor();
    expect(await page.locator('.writing').count()).toBe(0);
    const running = async (): Promise<string | undefined> =>
      /^helvetia:num_requests_running\S* (\d+)$/m.exec(await (await fetch(`${server.url}/metrics`)).text())?.[1];
    await expect.poll(running).toBe('0');
    // A new conversation in the middle of an answer has nothing of the old one.
    await page.locator('#chat-text').fill('And one about a bird.');
    await page.keyboard.press('Enter');
    await page.locator('.message.assistant.writing', { hasText: /\w \w/ }).waitFor();
    await page.locator('#clear').click();
    await page.locator('#chat-send', { hasText: 'Send' }).waitFor();
    await page.locator('#chat-text').fill('Something else.');
    const [asked] = await Promise.all([
      page.waitForRequest('**/v1/chat/completions'),
      page.locator('#chat-text').press('Enter'),
    ]);
    expect(asked.postDataJSON().messages).toEqual([{ role: 'user', content: 'Something else.' }]);
    await page.keyboard.press('Escape');
    await page.locator('#chat-send', { hasText: 'Send' }).waitFor();
    await page.unroute('**/v1/chat/completions');
    await page.locator('#clear').click();
    expect(await page.locator('.message').count()).toBe(0);
  });

  it('moves between the tabs by arrow keys', async () => {
    await page.locator('#tab-chat').focus();
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('#compare').isVisible()).toBe(true);
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('#finetune').isVisible()).toBe(true);
    expect(await page.locator('#tab-finetune').getAttribute('aria-selected')).toBe('true');
  });

  it('uploads a data set, trains, shows the losses, and compares the outcome with its base', async () => {
    const buffer = Buffer.from(rows.map((row) => JSON.stringify(row)).join('\n'));
    await page.locator('#file').setInputFiles({ name: 'colours.jsonl', mimeType: 'application/jsonl', buffer });
    await page.locator('#drop', { hasText: 'colours.jsonl is uploaded' }).waitFor();
    await page.locator('#suffix').fill('colours');
    await page.locator('#epochs').fill('2');
    await page.locator('#batch').fill('4');
    await page.locator('#start').click();
    await page.locator('#job .state.succeeded').waitFor({ timeout: 280_000 });
    expect(await page.locator('.curve .train').count()).toBe(1);
    expect((await page.locator('.curve .train').getAttribute('points'))!.split(' ').length).toBeGreaterThan(3);
    expect(await page.locator('#job .events').textContent()).toMatch(/succe|complete/i);
    await page.locator('#job button', { hasText: 'Compare' }).click();
    expect(await page.locator('#right-model').inputValue()).toContain('colours');
    // The field is on another tab, but counts here too.
    await page.evaluate("document.getElementById('most').value = 12");
    await page.keyboard.type('Which colour has parcel 3?');
    await page.keyboard.press('Enter');
    for (const side of ['left', 'right']) {
      await page.locator(`#${side}-facts`, { hasText: 'tokens' }).waitFor();
      expect((await page.locator(`#${side}`).textContent())!.length).toBeGreaterThan(0);
    }
  });

  it('pauses, resumes and cancels a job', async () => {
    await page.locator('#tab-finetune').click();
    await page.locator('#epochs').fill('50');
    await page.locator('#start').click();
    await page.locator('#job .state.running').waitFor();
    await page.locator('#job button', { hasText: 'Pause' }).click();
    await page.locator('#job .state.paused').waitFor();
    await page.locator('#job button', { hasText: 'Resume' }).click();
    await page.locator('#job button', { hasText: 'Pause' }).waitFor();
    await page.locator('#job button', { hasText: 'Cancel' }).click();
    await page.locator('#job .state.cancelled').waitFor();
  });

  it('fits a small screen and follows the dark setting', async () => {
    const small = await browser.newPage({ viewport: { width: 360, height: 640 }, colorScheme: 'dark' });
    watch(small);
    await small.goto(server.url);
    const paper = await small.evaluate<string>('getComputedStyle(document.body).backgroundColor');
    expect(Number(/\d+/.exec(paper)![0])).toBeLessThan(64);
    for (const tab of ['chat', 'compare', 'finetune']) {
      await small.locator(`#tab-${tab}`).click();
      expect(await small.evaluate('document.documentElement.scrollWidth'), tab).toBeLessThanOrEqual(360);
    }
    await small.close();
  });

  it('has had no failures and asked nobody else', () => {
    expect(problems).toEqual([]);
  });
});

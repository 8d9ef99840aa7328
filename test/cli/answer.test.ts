// The figures of an answer: what was not measured is not told.
import { expect, it } from 'vitest';
import { asJson, follow, summary } from '../../lib/cli/answer.js';
import { Stream } from '../../lib/flow/stream.js';
import type { Generation } from '../../lib/model.js';
import type { Generated, Piece } from '../../lib/text/generate.js';
import { FakeOutput } from './fake-terminal.js';

function generation(tokens: number): Generation {
  const result = {
    text: 'a'.repeat(tokens),
    tokens: Array.from({ length: tokens }, () => 1),
    finishReason: 'length',
    usage: { promptTokens: 3, completionTokens: tokens },
  } as unknown as Generated;
  return new Stream(async function* () {
    for (let i = 0; i < tokens; i++) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      yield { text: 'a' } as Piece;
    }
    return result;
  });
}

it.each([
  [0, false, false],
  [1, true, false],
  [2, true, true],
])('of %i tokens', async (tokens, waited, rated) => {
  const measured = await follow(generation(tokens), () => {});
  const json = JSON.parse(asJson('m', measured));
  expect(json.promptSeconds === null ? 0 : json.promptSeconds > 0).toBe(waited ? true : 0);
  expect(json.tokensPerSecond === null ? 0 : json.tokensPerSecond > 0).toBe(rated ? true : 0);
  const stderr = new FakeOutput(true, 80);
  summary({ terminal: { stderr, env: { NO_COLOR: '1' } } } as unknown as Parameters<typeof summary>[0], measured);
  expect(stderr.text.includes('tokens/s')).toBe(rated);
  expect(stderr.text).not.toMatch(/NaN|Infinity|undefined/);
});

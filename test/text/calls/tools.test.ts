// Calls of functions: shown through real chat templates, forced by masks, and read out of streams.
import { beforeAll, describe, expect, it } from 'vitest';
import { oneCallEach } from '../../../lib/text/calls/history.js';
import { recognised } from '../../../lib/text/calls/recognise.js';
import { planAnswer, type ToolDefinition, type ToolEvent } from '../../../lib/text/calls/tools.js';
import type { ChatMessage } from '../../../lib/text/template.js';
import { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { processed } from '../../processor-time.js';
import { hasShared, shared } from '../../shared.js';
import { seeded } from '../grammar/schemas.js';
import { onePass } from '../grammar/walk.js';
import { read } from './calls.js';
import { chatml, withTemplate } from './models.js';
import { walk } from './walk.js';

const tools: ToolDefinition[] = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'The weather in a city.',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string' }, days: { type: 'integer', minimum: 1, maximum: 9 } },
        required: ['city'],
        additionalProperties: false,
      },
    },
  },
  { type: 'function', function: { name: 'now', parameters: { type: 'object', properties: {} } } },
];

/** The control tokens that Mistral and Llama 3 open calls with. */
const withControlTokens = (written: string): Tokenizer =>
  withTemplate(written, ['[TOOL_CALLS]', '[ARGS]', '[CALL_ID]', '<|python_tag|>']);

let plain: Tokenizer;
beforeAll(() => {
  plain = withTemplate(chatml);
});

const now = { name: 'now', arguments: '{}' };

describe('a plan', () => {
  const ends = [0];

  it('writes tools, calls and results into the messages of a template that knows none', async () => {
    const plan = await planAnswer(plain, ends, { tools });
    expect(plan.templateTools).toBeUndefined();
    expect(plan.mask).toBeUndefined();
    const text = plain.applyChatTemplate(
      plan.messages([
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Weather?' },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'call_1', function: { name: 'now', arguments: '{"a":1}' } }],
        },
        { role: 'tool', tool_call_id: 'call_1', content: '12:00' },
      ]),
      { tools: plan.templateTools },
    );
    expect(text).toContain('Be brief.\n\n# Tools');
    expect(text).toContain('"name":"get_weather"');
    expect(text).toContain('assistant\n<tool_call>\n{"name": "now", "arguments": {"a":1}}\n</tool_call><|im_end|>');
    expect(text).toContain('user\n<tool_response>\n12:00\n</tool_response>');
  });

  it('shows no tools where none may be called', async () => {
    const plan = await planAnswer(plain, ends, { tools, toolChoice: { mode: 'none' } });
    expect(plan.messages([{ role: 'user', content: 'x' }])).toEqual([{ role: 'user', content: 'x' }]);
    expect(read(plan.reader().push('<tool_call>')).text).toBe('<tool_call>');
  });

  it('refuses a function that is not there', async () => {
    await expect(planAnswer(plain, ends, { tools, toolChoice: { mode: 'required', only: ['x'] } })).rejects.toThrow(
      /"x" is not among/,
    );
  });

  it.each([
    ['any', undefined, true],
    ['a named', ['get_weather'], true],
    ['one', undefined, false],
  ])('forces %s call', async (_, only, parallel) => {
    const toolChoice = { mode: 'required' as const, ...(only ? { only } : {}) };
    const plan = await planAnswer(plain, ends, { tools, toolChoice, parallel });
    for (let seed = 1; seed <= 12; seed += 1) {
      const ids = walk(plain, plan.mask!()!, ends, seeded(seed));
      const reader = plan.reader();
      const stream = plain.stream({ continues: true });
      const { text, calls } = read([...ids.flatMap((id) => reader.push(stream.push(id), id)), ...reader.end()]);
      expect(text).toBe('');
      expect(calls.length).toBeGreaterThan(0);
      if (only || !parallel) expect(calls.length).toBe(1);
      for (const call of calls) {
        const given = JSON.parse(call.arguments) as Record<string, unknown>;
        expect(only ?? ['get_weather', 'now']).toContain(call.name);
        if (call.name === 'get_weather') expect(given.city).toBeTypeOf('string');
      }
    }
  });

  it('opens calls by the control token where the vocabulary has one', async () => {
    const written =
      '{% for m in messages %}{% if m.tool_calls %}[TOOL_CALLS][{{ m.tool_calls[0].function | tojson }}]{% else %}' +
      '{{ m.content }}{% endif %}{% endfor %}{{ tools | tojson }}';
    const tokenizer = withTemplate(written, ['[TOOL_CALLS]']);
    const opener = plain.vocabSize;
    expect(recognised(tokenizer)).toMatchObject({ dialect: { name: 'mistral-list' }, controls: [opener] });
    const plan = await planAnswer(tokenizer, ends, { tools, toolChoice: { mode: 'required' } });
    const mask = plan.mask!()!;
    const reader = plan.reader();
    const ids = [opener, ...tokenizer.encode('[{"name": "now", "arguments": {}}]', { addSpecialTokens: false })];
    const stream = tokenizer.stream({ continues: true });
    const events: ToolEvent[] = [];
    for (const id of ids) {
      expect(mask.allowed()[id]).toBe(1);
      mask.accept(id);
      events.push(...reader.push(stream.push(id), id));
    }
    expect(mask.allowed()[ends[0]!]).toBe(1);
    expect(read([...events, ...reader.end()])).toEqual({ text: '', calls: [now] });
  });

  it.each([true, false])('writes name and arguments between control tokens (ids: %s)', async (ids) => {
    const tokenizer = withControlTokens(
      '{% for m in messages %}{% for c in m.tool_calls or [] %}[TOOL_CALLS]{{ c.function.name }}' +
        `${ids ? '[CALL_ID]{{ c.id }}' : ''}[ARGS]{{ c.function.arguments | tojson }}{% endfor %}{% endfor %}` +
        '{{ tools | tojson }}',
    );
    expect(recognised(tokenizer).dialect.name).toBe('mistral-named');
    const { mask, reader } = await planAnswer(tokenizer, ends, { tools, toolChoice: { mode: 'required' } });
    for (let seed = 1; seed <= 6; seed += 1) {
      const produced = walk(plain, mask!()!, ends, seeded(seed));
      expect(produced.includes(tokenizer.tokenToId('[CALL_ID]')!)).toBe(ids);
      const one = reader();
      const stream = tokenizer.stream({ continues: true });
      const { text, calls } = read([...produced.flatMap((id) => one.push(stream.push(id), id)), ...one.end()]);
      expect(text).toBe('');
      expect(calls.length).toBeGreaterThan(0);
      for (const call of calls) {
        expect(['get_weather', 'now']).toContain(call.name);
        if (call.name === 'get_weather') expect(JSON.parse(call.arguments).city).toBeTypeOf('string');
      }
    }
  });

  it.each(['list', 'named'])('lets an answer be JSON or calls behind a control token (%s)', async (form) => {
    const written =
      form === 'list'
        ? '[TOOL_CALLS][{{ m.tool_calls[0].function | tojson }}]'
        : '[TOOL_CALLS]{{ m.tool_calls[0].function.name }}[ARGS]{{ m.tool_calls[0].function.arguments | tojson }}';
    const tokenizer = withControlTokens(
      `{% for m in messages %}{% if m.tool_calls %}${written}{% else %}{{ m.content }}{% endif %}{% endfor %}{{ tools | tojson }}`,
    );
    const format = { type: 'schema' as const, schema: { const: { ok: true } } };
    const plan = await planAnswer(tokenizer, ends, { tools, format });
    const call = form === 'list' ? '[TOOL_CALLS][{"name": "now", "arguments": {}}]' : '[TOOL_CALLS]now[ARGS]{}';
    for (const text of ['{"ok":true}', call]) {
      const mask = plan.mask!()!;
      for (const id of tokenizer.encode(text, { addSpecialTokens: false })) {
        expect(mask.allowed()[id], text).toBe(1);
        mask.accept(id);
      }
      expect(mask.allowed()[ends[0]!]).toBe(1);
    }
    expect(plan.mask!()!.allowed()[tokenizer.encode('x', { addSpecialTokens: false })[0]!]).toBe(0);
  });

  it('lets a Llama answer JSON or call, though it has a control token for calls', async () => {
    const tokenizer = withControlTokens(
      '{% for m in messages %}{% if m.tool_calls %}{"name": "{{ m.tool_calls[0].function.name }}", "parameters": ' +
        '{{ m.tool_calls[0].function.arguments | tojson }}}{% else %}{{ m.content }}{% endif %}{% endfor %}{{ tools | tojson }}',
    );
    expect(recognised(tokenizer)).toMatchObject({ dialect: { name: 'llama-json' }, controls: [expect.any(Number)] });
    const format = { type: 'schema' as const, schema: { const: { ok: true } } };
    const plan = await planAnswer(tokenizer, ends, { tools, format });
    for (const text of ['{"ok":true}', '{"name": "now", "parameters": {}}']) {
      const mask = plan.mask!()!;
      for (const id of tokenizer.encode(text, { addSpecialTokens: false })) mask.accept(id);
      expect(mask.allowed()[ends[0]!], text).toBe(1);
    }
  });

  it('joins the results of parallel calls, as many templates want roles to alternate', async () => {
    const plan = await planAnswer(plain, ends, { tools });
    const call = (id: string) => ({ id, function: { name: 'now', arguments: '{}' } });
    const result = (id: string) => ({ role: 'tool', tool_call_id: id, content: id });
    const messages = plan.messages([
      { role: 'system', content: '' },
      { role: 'user', content: 'q' },
      { role: 'assistant', content: null, tool_calls: [call('a'), call('b')] },
      result('a'),
      result('b'),
    ]);
    expect(messages.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'user']);
    expect(messages.at(-1)!.content).toBe('<tool_response>\na\n</tool_response>\n<tool_response>\nb\n</tool_response>');
  });

  it('walks a long conversation once', async () => {
    const calls = ['a', 'b'].map((id) => ({ id, function: { name: 'now', arguments: '{}' } }));
    let reads = 0;
    const counted = (role: string, more: object): ChatMessage => ({
      ...more,
      get role() {
        reads += 1;
        return role;
      },
    });
    const turn = [
      counted('assistant', { content: '', tool_calls: calls }),
      counted('tool', { tool_call_id: 'b', content: '2' }),
      counted('tool', { tool_call_id: 'a', content: '1' }),
    ];
    const long = Array.from({ length: 20_000 }, () => turn).flat();
    const fitted = oneCallEach(long);
    expect(reads).toBeLessThan(3 * long.length);
    expect(fitted).toHaveLength(80_000);
    expect(fitted.slice(0, 4).map(({ content }) => content)).toEqual(['', '1', '', '2']);
  });

  it('lets an answer be JSON or a call where both are allowed', async () => {
    const format = { type: 'schema' as const, schema: { const: { ok: true } } };
    const plan = await planAnswer(plain, ends, { tools, format });
    for (const text of ['{"ok":true}', '<tool_call>\n{"name": "now", "arguments": {}}\n</tool_call>']) {
      const mask = plan.mask!()!;
      for (const id of plain.encode(text, { addSpecialTokens: false })) mask.accept(id);
      expect(mask.allowed()[0]).toBe(1);
    }
  });
});

describe.skipIf(!hasShared('tokenizer-qwen3'))("on Qwen3's vocabulary of 151669", () => {
  it('forces a call by its own tokens, in much less time than a pass over the vocabulary', async () => {
    const tokenizer = (await Tokenizer.fromFolder(shared('tokenizer-qwen3')))!;
    expect(recognised(tokenizer)).toMatchObject({ dialect: { name: 'hermes' }, controls: [undefined, undefined] });
    const end = tokenizer.tokenToId('<|im_end|>')!;
    const plan = await planAnswer(tokenizer, [end], { tools, toolChoice: { mode: 'required' } });
    const text =
      '<tool_call>\n{"name": "get_weather", "arguments": {"city": "東京 or Zürich", "days": 3}}\n</tool_call>';
    const ids = [...tokenizer.encode(text, { addSpecialTokens: false }), end];
    expect(ids[0]).toBe(tokenizer.tokenToId('<tool_call>'));
    const spent: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      const mask = plan.mask!()!;
      for (const id of ids) {
        const before = processed();
        const allowed = mask.allowed();
        spent.push(processed() - before);
        expect(allowed[id]).toBe(1);
        mask.accept(id);
      }
    }
    spent.sort((a, b) => a - b);
    const pass = onePass(tokenizer);
    console.info(
      `a step ${spent[spent.length >> 1]!.toFixed(3)} ms; one pass over the vocabulary ${pass.toFixed(1)} ms`,
    );
    expect(spent[spent.length >> 1]).toBeLessThan(pass / 3);
  });
});

describe('strict functions that the model is free not to call', () => {
  const ends = [0];
  const strict = tools.map((tool) =>
    tool.function.name === 'now' ? tool : { ...tool, function: { ...tool.function, strict: true } },
  );
  const called = (name: string, given: string): string =>
    `<tool_call>\n{"name": "${name}", "arguments": ${given}}\n</tool_call>`;

  /** Whether the mask of a new answer lets `text` be written and end. */
  async function takes(text: string): Promise<boolean> {
    const plan = await planAnswer(plain, ends, { tools: strict });
    expect(plan.warnings).toEqual([]);
    const mask = plan.mask!()!;
    for (const id of plain.encode(text, { addSpecialTokens: false })) {
      if (mask.allowed()[id] !== 1) return false;
      mask.accept(id);
    }
    return mask.allowed()[ends[0]!] === 1;
  }

  it.each([
    'Any text, also with < and <tool_call and { "name": 1 }, or 💙.',
    '',
    called('get_weather', '{"city": "Rome", "days": 3}'),
    `Let me see.\n${called('get_weather', '{"city": "Rome"}')}`,
    `${called('get_weather', '{"city": "Rome"}')}\n${called('now', '{}')}`,
    called('now', '{"any": [1, {"thing": null}]}'),
  ])('are not called, or called as they ask: %j', async (text) => {
    expect(await takes(text)).toBe(true);
  });

  it.each([
    called('get_weather', '{"days": 3}'),
    called('get_weather', '{"city": "Rome", "town": "Rome"}'),
    `Let me see. ${called('get_weather', '{"city": 5}')}`,
    called('get_wether', '{"city": "Rome"}'),
    'Let me see. <tool_call> now',
    '<tool_call>',
  ])('are not called otherwise: %j', async (text) => {
    expect(await takes(text)).toBe(false);
  });

  it('constrain nothing where none is strict, or the model has no markup to tell calls by', async () => {
    expect((await planAnswer(plain, ends, { tools })).mask).toBeUndefined();
    const bare = withControlTokens(
      '{% for m in messages %}{% if m.tool_calls %}{"name": "{{ m.tool_calls[0].function.name }}", "parameters": {{ m.tool_calls[0].function.arguments | tojson }}}{% else %}{{ m.content }}{% endif %}{% endfor %}{{ tools | tojson }}',
    );
    expect(recognised(bare).dialect.bare).toBe('{');
    const plan = await planAnswer(bare, ends, { tools: strict });
    expect(plan.mask).toBeUndefined();
    expect(plan.warnings).toEqual([expect.stringContaining("'strict' holds for calls that are required only")]);
  });

  it('are constrained behind a control token too', async () => {
    const tokenizer = withControlTokens(
      '{% for m in messages %}{% if m.tool_calls %}[TOOL_CALLS][{"name": "{{ m.tool_calls[0].function.name }}", "arguments": {{ m.tool_calls[0].function.arguments | tojson }}}]{% else %}{{ m.content }}{% endif %}{% endfor %}{{ tools | tojson }}',
    );
    const mask = (await planAnswer(tokenizer, ends, { tools: strict })).mask!()!;
    for (const id of tokenizer.encode('Well. ', { addSpecialTokens: false })) mask.accept(id);
    mask.accept(tokenizer.tokenToId('[TOOL_CALLS]')!);
    expect(mask.allowed()[ends[0]!]).toBe(0);
    const random = seeded(3);
    const ids = walk(tokenizer, mask, ends, random);
    const { name, arguments: given } = (JSON.parse(tokenizer.decode(ids)) as { name: string; arguments: object }[])[0]!;
    expect(['get_weather', 'now']).toContain(name);
    expect('city' in given || name === 'now').toBe(true);
  });
});

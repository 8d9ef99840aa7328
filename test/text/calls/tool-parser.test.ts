// Calls of functions read out of streams of text, however these are cut.
import { describe, expect, it } from 'vitest';
import type { Dialect } from '../../../lib/text/calls/dialects/dialect.js';
import { hermes } from '../../../lib/text/calls/dialects/hermes.js';
import { llamaJson } from '../../../lib/text/calls/dialects/llama-json.js';
import { mistralList } from '../../../lib/text/calls/dialects/mistral-list.js';
import { mistralNamed } from '../../../lib/text/calls/dialects/mistral-named.js';
import { ToolParser } from '../../../lib/text/calls/tool-parser.js';
import { seeded } from '../grammar/schemas.js';
import { read } from './calls.js';

const dialects: Record<string, Dialect> = { hermes, llama: llamaJson, mistral: mistralList, named: mistralNamed };
const callable = new Map(['get_weather', 'now'].map((name) => [name, { name }]));

function parse(kind: string, pieces: readonly string[], parallel = true) {
  let ids = 0;
  const parser = new ToolParser({
    dialect: dialects[kind]!,
    marks: new Map(),
    callable,
    parallel,
    newId: () => `call_${ids++}`,
  });
  return read([...pieces.flatMap((piece) => parser.push(piece)), ...parser.end()]);
}

const weather = { name: 'get_weather', arguments: '{"city": "Zü\\"rich}", "days": 2}' };
const now = { name: 'now', arguments: '{}' };
const body = '{"name": "get_weather", "arguments": {"city": "Zü\\"rich}", "days": 2}}';

describe('a stream of text', () => {
  it.each<[string, string, string, object[]]>([
    ['hermes', `<tool_call>\n${body}\n</tool_call>`, '', [weather]],
    [
      'hermes',
      `Let me see.\n<tool_call>${body}</tool_call>\n<tool_call>\n{"arguments": {}, "name": "now"}\n</tool_call>`,
      'Let me see.',
      [weather, now],
    ],
    ['hermes', 'a < b, <tool and <tool_cal', 'a < b, <tool and <tool_cal', []],
    ['hermes', '  plain {"name": "now"} text \n', '  plain {"name": "now"} text \n', []],
    ['hermes', `<tool_call>not json</tool_call>`, '<tool_call>not json</tool_call>', []],
    [
      'hermes',
      'Use <tool_call> tags …\n `<tool_call>`, then\n<tool_call> {"x": 1} <tool_call>',
      'Use <tool_call> tags …\n `<tool_call>`, then\n<tool_call> {"x": 1} <tool_call>',
      [],
    ],
    ['hermes', 'So <tool_call><tool_call>{"name": "now"}</tool_call>', 'So <tool_call>', [now]],
    ['hermes', '<tool_call>{"name": "now", "arguments": ""}</tool_call>', '', [now]],
    ['hermes', 'It ends with <tool_call> ', 'It ends with <tool_call> ', []],
    [
      'hermes',
      `<tool_call>\n{"name": "get_weather", "arguments": {"city": "B`,
      '',
      [{ name: 'get_weather', arguments: '{"city": "B' }],
    ],
    [
      'hermes',
      `<tool_call>{"name": "now", "arguments": "{\\"a\\": 1}"}</tool_call>`,
      '',
      [{ name: 'now', arguments: '{"a": 1}' }],
    ],
    [
      'hermes',
      '<tool_call>{"name": "now", "arguments": {"a": 1}, "parameters": {"b": 2}}</tool_call>',
      '',
      [{ name: 'now', arguments: '{"a": 1}' }],
    ],
    [
      'hermes',
      '<tool_call>{"parameters": {"a": 1}, "name": "now", "arguments": "{}"}</tool_call>',
      '',
      [{ name: 'now', arguments: '{"a": 1}' }],
    ],
    ['llama', body.replace('arguments', 'parameters'), '', [weather]],
    ['llama', `<|python_tag|>${body.replace('arguments', 'parameters')}`, '', [weather]],
    [
      'llama',
      '{"type": "function", "name": "now", "parameters": {}}; {"name": "now", "parameters": {}}',
      '',
      [now, now],
    ],
    ['llama', '{"answer": 42, "why": {"x": []}}', '{"answer": 42, "why": {"x": []}}', []],
    ['llama', '{"name": "unknown", "parameters": {}}', '{"name": "unknown", "parameters": {}}', []],
    ['llama', 'It is {"name": "now"}.', 'It is {"name": "now"}.', []],
    ['mistral', `[TOOL_CALLS][${body}, {"name": "now", "arguments": {}, "id": "abc"}]`, '', [weather, now]],
    ['mistral', 'The token [TOOL_CALLS] [ opens', 'The token [TOOL_CALLS] [ opens', []],
    ['named', '[TOOL_CALLS]get_weather[ARGS]{"city": "Zü\\"rich}", "days": 2}', '', [weather]],
    ['named', 'Sure.\n[TOOL_CALLS]now[CALL_ID]abc123XYZ[ARGS]{}[TOOL_CALLS]now[ARGS]{}', 'Sure.', [now, now]],
    ['named', 'As in [TOOL_CALLS]name[ARG] or [TOOL_CALLS]: so', 'As in [TOOL_CALLS]name[ARG] or [TOOL_CALLS]: so', []],
    ['named', 'As in [TOOL_CALLS]name[A', 'As in [TOOL_CALLS]name[A', []],
    ['mistral', `Sure. [TOOL_CALLS] [ {"name": "now", "arguments": {}}]`, 'Sure.', [now]],
  ])('%s: %s', (kind, text, content, calls) => {
    expect(parse(kind, [text])).toEqual({ text: content, calls });
    expect(parse(kind, Array.from(text))).toEqual({ text: content, calls });
    const random = seeded(text.length);
    for (let round = 0; round < 20; round += 1) {
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const next = at + 1 + Math.floor(random() * 9);
        pieces.push(text.slice(at, next));
        at = next;
      }
      expect(parse(kind, pieces)).toEqual({ text: content, calls });
    }
  });

  it('gives the name and the arguments as they come', () => {
    const parser = new ToolParser({
      dialect: hermes,
      marks: new Map([[7, '<tool_call>']]),
      callable: new Map(),
      parallel: true,
      newId: () => 'call_1',
    });
    expect(parser.push('Well ')).toEqual([{ type: 'text', text: 'Well' }]);
    expect(parser.push('', 7)).toEqual([]);
    expect(parser.push('{"name": "f"')).toEqual([{ type: 'call', index: 0, id: 'call_1', name: 'f' }]);
    expect(parser.push(', "arguments": {"a"')).toEqual([{ type: 'arguments', index: 0, text: '{"a"' }]);
    expect(parser.push(': 1}')).toEqual([{ type: 'arguments', index: 0, text: ': 1}' }]);
    expect(parser.push('}</tool_call>')).toEqual([]);
    expect(parser.end()).toEqual([]);
    expect(parser.called).toBe(true);
  });

  it('takes the first call only where one is wanted', () => {
    const two = `<tool_call>${body}</tool_call><tool_call>${body}</tool_call>`;
    expect(parse('hermes', [two], false)).toEqual({ text: '', calls: [weather] });
  });
});

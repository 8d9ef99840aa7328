// Jinja's features one by one, against what Python's jinja2 writes with transformers' settings (made by make.py).
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { evaluate } from '../../../lib/text/chat/jinja/evaluate.js';
import { parse } from '../../../lib/text/chat/jinja/parse.js';

interface Features {
  variables: Record<string, unknown>;
  cases: { name: string; template: string; expect?: string; refused?: string }[];
}

const { variables, cases } = JSON.parse(readFileSync(new URL('features.json', import.meta.url), 'utf8')) as Features;

const raise = (message: string): never => {
  throw new Error(message);
};
const write = (template: string): string => evaluate(parse(template), { ...variables, raise_exception: raise });

describe('a template', () => {
  it.each(cases.filter((given) => given.expect !== undefined))('$name: $template', ({ template, expect: text }) => {
    expect(write(template)).toBe(text);
  });

  it.each(cases.filter((given) => given.refused !== undefined))('refuses $name: $template', ({ template }) => {
    expect(() => write(template)).toThrow(/^[^\n]+$/);
  });
});

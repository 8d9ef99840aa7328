// OpenAI's specification as JSON Schemas: checks bodies and stream chunks against its components.
//
// The specification is OpenAPI 3: `nullable` and `discriminator` are made plain JSON Schema, and what only documents is
// left out.
import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { expect, TestRunner } from 'vitest';
import { parse } from 'yaml';
import { hasShared, shared } from '../shared.js';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const there = hasShared('openai-openapi', 'openapi.yaml');
const validators = new Map<string, ValidateFunction>();
let loaded: { ajv: Ajv2020; operations: Operation[] } | undefined;

/** What answers to requests of one method and address, by their content type. */
interface Operation {
  method: string;
  path: RegExp;
  schemas: Map<string, string>;
}

type Answers = Record<string, { content?: Record<string, { schema?: { $ref?: string } }> }>;

interface Document {
  components: { schemas: Record<string, Json> };
  paths: Record<string, Record<string, { responses?: Answers }>>;
}

function load(): { ajv: Ajv2020; operations: Operation[] } {
  const document = parse(readFileSync(shared('openai-openapi', 'openapi.yaml'), 'utf8')) as Document;
  const ajv = new Ajv2020({ strict: false, allErrors: true, validateFormats: true });
  addFormats.default(ajv);
  ajv.addSchema({ $id: 'openai', $defs: plain(document.components.schemas as Json) as Record<string, object> });
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { responses }]) => ({
      method: method.toUpperCase(),
      path: new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`),
      schemas: new Map(
        Object.entries(responses?.['200']?.content ?? {}).flatMap(([type, { schema }]) =>
          schema?.$ref === undefined ? [] : [[type, schema.$ref.replace('#/components/schemas/', '')]],
        ),
      ),
    })),
  );
  return { ajv, operations };
}

const documentation = new Set([
  'example',
  'examples',
  'description',
  'title',
  'deprecated',
  'discriminator',
  'default',
  '$recursiveAnchor',
]);

function plain(schema: Json, isNames = true): Json {
  if (Array.isArray(schema)) return schema.map((entry) => plain(entry, false));
  if (typeof schema !== 'object' || schema === null) return schema;
  const result: { [key: string]: Json } = {};
  for (const [key, value] of Object.entries(schema)) {
    if (!isNames && (documentation.has(key) || key === 'nullable' || key.startsWith('x-'))) continue;
    if (key === '$ref' && typeof value === 'string')
      result.$ref = value.replace('#/components/schemas/', 'openai#/$defs/');
    else if (!isNames && (key === 'enum' || key === 'const' || key === 'required')) result[key] = value;
    else result[key] = plain(value, !isNames && key === 'properties');
  }
  if (!isNames) modernise(result);
  return !isNames && schema.nullable === true ? { anyOf: [result, { type: 'null' }] } : result;
}

/** OpenAPI 3.0's bounds and lists as JSON Schema has them today. */
function modernise(schema: { [key: string]: Json }): void {
  // A format that ajv does not know says nothing about the value.
  if (schema.format === 'unixtime' || schema.format === 'binary') delete schema.format;
  if (Array.isArray(schema.required)) schema.required = [...new Set(schema.required)];
  if (typeof schema.exclusiveMinimum === 'boolean') {
    if (schema.exclusiveMinimum && schema.minimum !== undefined) schema.exclusiveMinimum = schema.minimum;
    else delete schema.exclusiveMinimum;
  }
}

/** The schema of what OpenAI answers, to a path without `/v1`; undefined where it has no such address, or nothing is there. */
export function answerSchema(method: string, path: string, contentType: string): string | undefined {
  if (!there) return undefined;
  loaded ??= load();
  return loaded.operations
    .find((operation) => operation.method === method && operation.path.test(path))
    ?.schemas.get(contentType);
}

/** Fails with the schema's complaints; skips the test from here on where the specification is not there. */
export function expectValid(name: string, body: unknown): void {
  if (!there) {
    TestRunner.getCurrentTest()?.context.skip("OpenAI's specification is not there");
    return;
  }
  loaded ??= load();
  let validate = validators.get(name);
  if (!validate) {
    validate = loaded.ajv.compile({ $ref: `openai#/$defs/${name}` });
    validators.set(name, validate);
  }
  const valid = validate(body);
  const complaints = (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath || '/'} ${message}`);
  expect(valid ? [] : complaints, `${name}: ${JSON.stringify(body)?.slice(0, 500)}`).toEqual([]);
}

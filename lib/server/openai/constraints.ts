// Fields beside OpenAI's that say what an answer must be, as vLLM and llama.cpp have them.
import { z } from 'zod';
import type { TextFormat } from '../../text/calls/constraint.js';
import { badRequest } from '../http/errors.js';
import { anyObject, list } from '../http/sized.js';

const mostTexts = 1024;

const schema = z.union([anyObject, z.string()], {
  error: 'expected a JSON Schema as an object or as JSON',
});
const texts = list(z.string().min(1), mostTexts, 1);

export const constraintFields = {
  guided_json: schema.nullish(),
  guided_regex: z.string().min(1).nullish(),
  guided_choice: texts.nullish(),
  json_schema: schema.nullish(),
  structured_outputs: z
    .strictObject({
      json: schema.nullish(),
      json_object: z.boolean().nullish(),
      regex: z.string().min(1).nullish(),
      choice: texts.nullish(),
    })
    .nullish(),
  min_tokens: z.number().int().min(0).nullish(),
  stop_token_ids: list(z.number().int().min(0), 128).nullish(),
  include_stop_str_in_output: z.boolean().nullish(),
};

export type ConstraintBody = z.infer<z.ZodObject<typeof constraintFields>>;

/** @throws ApiError 400 where two fields say what the text is, or a schema is no JSON. */
export function textFormatOf(body: ConstraintBody): { format: TextFormat; param: string } | undefined {
  const { structured_outputs: outputs } = body;
  const found: { format: TextFormat; param: string }[] = [];
  const add = <T>(param: string, value: T | null | undefined, format: (value: T) => TextFormat): void => {
    if (value !== null && value !== undefined) found.push({ param, format: format(value) });
  };
  const ofSchema = (param: string) => (value: unknown) => ({ type: 'schema' as const, schema: parsed(value, param) });
  const ofPattern = (pattern: string): TextFormat => ({ type: 'regex', pattern });
  const ofTexts = (choices: readonly string[]): TextFormat => ({ type: 'choice', texts: choices });
  add('guided_json', body.guided_json, ofSchema('guided_json'));
  add('json_schema', body.json_schema, ofSchema('json_schema'));
  add('structured_outputs.json', outputs?.json, ofSchema('structured_outputs.json'));
  add('guided_regex', body.guided_regex, ofPattern);
  add('structured_outputs.regex', outputs?.regex, ofPattern);
  add('guided_choice', body.guided_choice, ofTexts);
  add('structured_outputs.choice', outputs?.choice, ofTexts);
  add('structured_outputs.json_object', outputs?.json_object || undefined, () => ({ type: 'json' }));
  const [first, second] = found;
  if (second) throw badRequest(`'${second.param}': cannot stand beside '${first!.param}'.`, second.param);
  return first;
}

function parsed(value: unknown, param: string): unknown {
  if (typeof value !== 'string') return value;
  try {
    return JSON.parse(value);
  } catch {
    throw badRequest(`'${param}': expected a JSON Schema as an object or as JSON.`, param);
  }
}

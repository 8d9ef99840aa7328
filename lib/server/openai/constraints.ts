// Fields beside OpenAI's that say what an answer must be, as vLLM and llama.cpp have them: kept, or refused by name. An
// answer that looks right and is not what was asked for is worse than none.
import { z } from 'zod';
import type { TextFormat } from '../../text/calls/constraint.js';
import { list } from '../http/body.js';
import { badRequest } from '../http/errors.js';

const mostTexts = 1024;

const schema = z.union([z.record(z.string(), z.unknown()), z.string()], {
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

/** Fields of other servers that change the answer, with the values that ask for nothing. */
const refused: Readonly<Record<string, readonly unknown[]>> = {
  guided_grammar: [],
  guided_whitespace_pattern: [],
  grammar: [''],
  grammar_lazy: [false],
  web_search_options: [],
  bad_words: [],
  allowed_token_ids: [],
  logits_processors: [],
  use_beam_search: [false],
  length_penalty: [1],
  early_stopping: [false],
  truncate_prompt_tokens: [],
  skip_special_tokens: [true],
  spaces_between_special_tokens: [true],
  prompt_logprobs: [],
  documents: [],
  add_special_tokens: [false],
  n_predict: [],
  repeat_penalty: [1],
  repeat_last_n: [],
  typical_p: [1],
  typical: [1],
  tfs_z: [1],
  top_a: [0],
  epsilon_cutoff: [0],
  eta_cutoff: [0],
  mirostat: [0],
  mirostat_mode: [0],
  dry_multiplier: [0],
  xtc_probability: [0],
  dynatemp_range: [0],
  dynamic_temperature: [false],
  smoothing_factor: [0],
  no_repeat_ngram_size: [0],
  samplers: [],
  logits_bias: [],
  lora: [],
  input_suffix: [],
  input_prefix: [],
  n_keep: [0, -1],
  negative_prompt: [''],
  guidance_scale: [1],
  ban_eos_token: [false],
  custom_token_bans: [''],
};

/** @throws ApiError 400 for the first field that asks for what is not supported. */
export function refuseUnsupported(body: Readonly<Record<string, unknown>>): void {
  for (const [name, neutral] of Object.entries(refused)) {
    const value = Object.hasOwn(body, name) ? body[name] : undefined;
    const isEmpty = value === undefined || value === null || (Array.isArray(value) && value.length === 0);
    if (!isEmpty && !neutral.includes(value)) throw badRequest(`'${name}': is not supported.`, name);
  }
}

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

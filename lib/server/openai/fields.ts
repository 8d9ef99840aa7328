// Fields of a request that are not in its schema: of OpenAI and let through, of other servers and refused by name, misspelt
// and refused with the right name, or unknown and told in a header. An answer that looks right and is not what was asked
// for is worse than none.
import type { z } from 'zod';
import { misspelt } from '../../flow/options.js';
import { badRequest } from '../http/errors.js';

/** Fields that change no answer here: OpenAI's, and those by which other servers schedule requests. */
const inert = [
  'user',
  'metadata',
  'store',
  'service_tier',
  'prediction',
  'verbosity',
  'prompt_cache_key',
  'prompt_cache_retention',
  'safety_identifier',
  'priority',
  'request_id',
  'cache_salt',
  'cache_prompt',
  'id_slot',
];

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
  num_predict: [],
  num_ctx: [],
  max_new_tokens: [],
  max_length: [],
  stop_sequences: [],
  system: [''],
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
  max_tokens_per_doc: [],
  max_chunks_per_doc: [],
  negative_prompt: [''],
  guidance_scale: [1],
  ban_eos_token: [false],
  custom_token_bans: [''],
};

/** What to send instead, where there is something. */
const instead: Readonly<Record<string, string>> = {
  n_predict: 'max_tokens',
  num_predict: 'max_tokens',
  max_new_tokens: 'max_tokens',
  stop_sequences: 'stop',
  max_tokens_per_doc: 'truncate_prompt_tokens',
  system: "a message whose role is 'system'",
  repeat_penalty: 'repetition_penalty',
};

interface FieldOptions {
  /** Fields that the schema lacks and a request may carry all the same. */
  alsoKnown?: readonly string[];
  /** Values that ask for nothing here, of fields that are refused. */
  neutral?: Readonly<Record<string, readonly unknown[]>>;
}

/**
 * Looks at the fields of a body that `schema` does not have, and returns warnings about those that are not known.
 *
 * @throws ApiError 400 for the first that asks for what is not supported, or is misspelt.
 */
export function checkFields(
  body: Readonly<Record<string, unknown>>,
  { shape }: { readonly shape: Readonly<Record<string, z.ZodType>> },
  { alsoKnown = [], neutral = {} }: FieldOptions = {},
): string[] {
  const known = new Set([...Object.keys(shape), ...alsoKnown, ...inert]);
  const warnings: string[] = [];
  let unknown = 0;
  for (const [name, value] of Object.entries(body)) {
    if (known.has(name)) continue;
    if (Object.hasOwn(refused, name)) {
      if (!isNeutral(value, neutral[name] ?? refused[name]!)) throw notSupported(name);
      continue;
    }
    if (++unknown > mostUnknown) throw badRequest(`The body has more than ${mostUnknown} fields that are not known.`);
    const meant = misspelt(name, [...known]);
    const shown = JSON.stringify(name.slice(0, 64)).slice(1, -1);
    if (meant !== undefined) {
      throw badRequest(`'${shown}': is not known: did you mean '${meant}'?`, shown, 'unknown_parameter');
    }
    if (warnings.length < mostWarnings) warnings.push(`the field '${shown}' is not known and was ignored`);
  }
  return warnings;
}

// Comparing a name with all that are known takes some microseconds.
const mostUnknown = 64;
const mostWarnings = 8;

const isNeutral = (value: unknown, neutral: readonly unknown[]): boolean =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0) || neutral.includes(value);

function notSupported(name: string) {
  const hint = instead[name];
  const send = hint === undefined ? '' : `: send ${hint.includes(' ') ? hint : `'${hint}'`}`;
  return badRequest(`'${name}': is not supported${send}.`, name);
}

/** What was relaxed or ignored, in a header. Headers hold printable ASCII only, and warnings quote the request. */
export function warningHeader(warnings: readonly string[]): Record<string, string> {
  if (warnings.length === 0) return {};
  return {
    'x-helvetia-warning': warnings
      .join('; ')
      .replace(/[^\x20-\x7e]/g, '?')
      .slice(0, 1000),
  };
}

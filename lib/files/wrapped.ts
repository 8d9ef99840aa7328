// Language models inside models that also see or hear: their config is `text_config` of config.json, their tensors lie under
// a prefix, and towers, projectors and drafting layers beside them are left out.
import { shown } from '../flow/fault.js';

type Json = Record<string, unknown>;

/** What a checkpoint's language model is called besides `model` and `lm_head`, by transformers 5 and before. The last is Nemotron-H's. */
const prefixes: readonly (readonly [name: string, wrapped: string])[] = [
  ['model.', 'model.language_model.'],
  ['model.', 'language_model.model.'],
  ['lm_head.', 'language_model.lm_head.'],
  ['model.', 'backbone.'],
];

const beside =
  /^(model\.|language_model\.)?(visual|vision_(tower|model|encoder)|audio_(tower|encoder)|multi_modal_projector|embed_(vision|audio)|mtp)\./;

/** Whether a tensor belongs to what the language model does not need: a tower, a projector, layers that draft tokens. */
export const isBeside = (name: string): boolean => beside.test(name);

/**
 * The config of the language model: config.json itself, or its `text_config` with what only the outer config says.
 *
 * @throws Error that names the file, if `text_config` is not an object.
 */
export function languageConfig(file: string, json: Json): Json {
  const { text_config: inner } = json;
  if (inner === undefined || inner === null) return json;
  if (typeof inner !== 'object' || Array.isArray(inner)) {
    throw new Error(`${file}: text_config must be an object, got ${shown(inner)}`);
  }
  const outer = ['tie_word_embeddings', 'bos_token_id', 'eos_token_id', 'pad_token_id', 'torch_dtype', 'dtype'];
  const shared = Object.fromEntries(outer.filter((key) => json[key] !== undefined).map((key) => [key, json[key]]));
  // A null means something else than no key, such as no window instead of the usual one, but not where the outer config
  // says more.
  const own = Object.entries(inner).filter(([key, value]) => value !== null || shared[key] === undefined);
  return { ...shared, ...Object.fromEntries(own) };
}

/** The names that a checkpoint may have for a language model's tensor, the usual one first. */
export function namesOf(name: string): string[] {
  const wrapped = prefixes.flatMap(([usual, other]) =>
    name.startsWith(usual) ? [other + name.slice(usual.length)] : [],
  );
  // A checkpoint without the output, saved from what transformers calls the base model, has names without its prefix.
  return [name, ...wrapped, name.slice(name.indexOf('.') + 1)];
}

/** The usual name of a module of the language model. */
export function usualName(path: string): string {
  const found = prefixes.find(([, wrapped]) => path.startsWith(wrapped));
  return found ? found[0] + path.slice(found[1].length) : path;
}

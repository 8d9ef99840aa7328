// Bounds of the numbers in a model's config, far above what any model has. A damaged or hostile config is refused before
// memory or time is spent on what it asks for: parts are made, and tables computed, from these numbers alone.
import { shown } from '../flow/fault.js';

// By what a key of config.json, or of a GGUF file without its architecture, ends with.
const bounds: readonly (readonly [ending: RegExp, most: number])[] = [
  [/(^|[_.])(num_(hidden_)?layers|n_layer|block_count)$/, 4096],
  [/(^|[_.])(heads|n_head|(num|n|routed)\w*_experts|expert_count)$|head_count(_kv)?$/, 65_536],
  [/(head_dim|head_size|key_length|value_length|dimension_count)$/, 65_536],
  [/(_size|_length|_inner|n_embd|n_positions|_embeddings|_window|_dim)$/, 2 ** 31 - 1],
];

/** @throws Error that names the file and the key, if the number is above what any model has. */
export function checkBound(file: string, key: string, value: unknown): void {
  if (typeof value !== 'number') return;
  const most = bounds.find(([ending]) => ending.test(key))?.[1];
  if (most !== undefined && value > most)
    throw new Error(`${file}: ${key} must be at most ${most}, got ${shown(value)}`);
}

/**
 * The same for all keys of a config, and for what its numbers come to together.
 *
 * @throws Error that names the file and the keys.
 */
export function checkBounds(file: string, json: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(json)) checkBound(file, key, value);
  const first = (...keys: string[]) => keys.map((key) => ({ key, value: json[key] })).find(isNumber);
  const layers = first('num_hidden_layers', 'n_layer');
  const heads = first('num_attention_heads', 'n_head');
  const experts = first('num_experts', 'num_local_experts', 'n_routed_experts', 'moe_num_experts');
  checkTogether(file, 2 ** 25, layers, first('hidden_size', 'n_embd'));
  checkTogether(file, 2 ** 25, layers, heads, first('head_dim'));
  checkTogether(file, 2 ** 18, layers, experts);
}

type Found = { key: string; value: unknown };
const isNumber = (found: Found): found is { key: string; value: number } => typeof found.value === 'number';

function checkTogether(file: string, most: number, ...factors: ({ key: string; value: number } | undefined)[]): void {
  const found = factors.filter((factor) => factor !== undefined);
  const product = found.reduce((all, { value }) => all * value, 1);
  if (product <= most) return;
  throw new Error(
    `${file}: ${found.map(({ key }) => key).join(' × ')} must be at most ${most} together, got ${shown(product)}`,
  );
}

// The model in the repository as one that reasons: two of its control tokens become <think> tags, and its chat template
// opens them unless `enable_thinking` is false.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { modelPath } from './running.js';

const renamed: Readonly<Record<string, string>> = { '<|system|>': '<think>', '<|pad|>': '</think>' };

const template =
  "{{- bos_token }}{% for m in messages %}{{- '<|' + ('assistant' if m.role == 'assistant' else 'user') + '|>' }}" +
  "{% if m.reasoning_content %}{{- '<think>' + m.reasoning_content + '</think>' }}{% endif %}" +
  "{{- m.content | trim + '<|end|>' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{- '<|assistant|><think>' }}" +
  "{% if enable_thinking is defined and not enable_thinking %}{{- '</think>' }}{% endif %}{% endif %}";

/** A folder of it; remove it with `dispose`. */
export function thinkingModel(): { path: string; dispose(): void } {
  const path = join(mkdtempSync(join(tmpdir(), 'helvetia-thinking-')), 'thinking');
  cpSync(modelPath, path, { recursive: true });
  const file = join(path, 'tokenizer.json');
  const changed = Object.entries(renamed).reduce(
    (text, [from, to]) => text.replaceAll(JSON.stringify(from), JSON.stringify(to)),
    readFileSync(file, 'utf8'),
  );
  writeFileSync(file, changed);
  const config = { bos_token: '<|begin|>', eos_token: '<|end|>', chat_template: template };
  writeFileSync(join(path, 'tokenizer_config.json'), JSON.stringify(config));
  return { path, dispose: () => rmSync(join(path, '..'), { recursive: true, force: true }) };
}

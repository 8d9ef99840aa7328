// Tokenizers of the small vocabulary with templates and control tokens of other models.
import { readFileSync } from 'node:fs';
import { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';

const folder = 'models/helvetia-small';

export const chatml =
  '{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

/** The small vocabulary with a chat template, and with `controls` as control tokens behind its own tokens. */
export function withTemplate(template: string, controls: readonly string[] = []): Tokenizer {
  const json = JSON.parse(readFileSync(`${folder}/tokenizer.json`, 'utf8'));
  const config = JSON.parse(readFileSync(`${folder}/tokenizer_config.json`, 'utf8'));
  const templates = new Map([['default', template]]);
  if (controls.length > 0) {
    const { vocabSize } = new Tokenizer({ json, config, templates, source: 'test' });
    for (const [i, content] of controls.entries()) {
      json.added_tokens.push({ id: vocabSize + i, content, special: true, normalized: false });
    }
  }
  return new Tokenizer({ json, config, templates, source: 'test' });
}

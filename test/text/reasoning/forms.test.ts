// What every reasoning form promises: it is recognised by its markup, and what a model writes in it is told apart from the
// answer however the text is cut.
import { describe, expect, it } from 'vitest';
import { planAnswer, type ToolEvent } from '../../../lib/text/calls/tools.js';
import type { ReasoningForm } from '../../../lib/text/reasoning/forms/form.js';
import { reasoningForms } from '../../../lib/text/reasoning/forms/index.js';
import { reasoningOf } from '../../../lib/text/reasoning/recognise.js';
import type { Tokenizer } from '../../../lib/text/tokenizer/tokenizer.js';
import { chatml, withTemplate } from '../calls/models.js';

const ends = [0];
const apart = reasoningForms.filter(({ inDialect }) => !inDialect);

/** Names of control tokens within a form's markup. */
function controlsOf({ open, close, answer }: ReasoningForm): string[] {
  const texts = [open, close, answer?.open ?? '', answer?.close ?? ''];
  return [...new Set(texts.flatMap((text) => text.match(/<[^<>\s]+>|\[\/?THINK\]/g) ?? []))];
}

/** A chat template that names the form's markup without writing it. */
function templateOf(form: ReasoningForm): string {
  const { open, close, answer } = form;
  const around = `${answer?.open ?? ''}${answer?.close ?? ''}`;
  const named = [`<|begin|>assistant${open}`, open, close, around];
  return `{# ${named.join(' ')} #}${chatml}`;
}

const plain = withTemplate(chatml);
const isControl = (text: string): boolean => plain.specialIds.has(plain.tokenToId(text) ?? -1);
const cases = apart.flatMap((form) => {
  const controls = controlsOf(form);
  const added = { name: form.name, form, marks: 'as control tokens', controls };
  // The small vocabulary has some of these texts as control tokens already.
  return controls.some(isControl) ? [added] : [added, { ...added, marks: 'written out', controls: [] }];
});

/** Pieces as they stream: `text` token by token. */
function piecesOf(tokenizer: Tokenizer, text: string): { text: string; token: number }[] {
  const stream = tokenizer.stream({ continues: true });
  return tokenizer.encode(text, { addSpecialTokens: false }).map((token) => ({ text: stream.push(token), token }));
}

function read(events: readonly ToolEvent[]): { reasoning: string; text: string } {
  const of = (type: 'reasoning' | 'text'): string =>
    events.flatMap((event) => (event.type === type ? [event.text] : [])).join('');
  return { reasoning: of('reasoning'), text: of('text') };
}

describe.each(cases)('$name, $marks', ({ form, controls }) => {
  const tokenizer = withTemplate(
    templateOf(form),
    controls.filter((control) => !isControl(control)),
  );
  const { open, close, answer } = form;
  const wrapped = (text: string): string => (answer ? `${answer.open}${text}${answer.close ?? ''}` : text);
  const readText = async (text: string, prompt: string) => {
    const { reader } = await planAnswer(tokenizer, ends, {});
    const answer = reader({ prompt });
    const events = piecesOf(tokenizer, text).flatMap((piece) => answer.push(piece.text, piece.token));
    return { ...read([...events, ...answer.end()]), tokens: answer.reasoningTokens };
  };

  it('is recognised', () => expect(reasoningOf(tokenizer)?.form.name).toBe(form.name));

  it('tells reasoning from the answer, opened by the model or by the prompt', async () => {
    const wanted = { reasoning: 'Let me see.\n\nIt < is.', text: 'Yes: 1 < 2.' };
    const thought = `\n${wanted.reasoning}\n${close}\n\n${wrapped(wanted.text)}`;
    for (const [text, prompt] of [
      [open + thought, 'assistant\n'],
      [thought, `assistant\n${open}`],
      [thought, `assistant\n${open}\n`],
      [open + thought, `assistant\n${open}`],
    ] as const) {
      const { tokens, ...found } = await readText(text, prompt);
      expect(found, JSON.stringify([text, prompt])).toEqual(wanted);
      expect(tokens).toBeGreaterThan(5);
    }
  });

  it('an answer without reasoning is text, whatever it begins with', async () => {
    for (const text of ['Yes.', '<', 'The < and [ are signs.', ' Yes', `Then ${open}x${close} is markup.`]) {
      const found = await readText(text, 'assistant\n');
      // Control tokens have no text.
      const written = controls.reduce((rest, control) => rest.replaceAll(control, ''), text);
      expect(found.text, text).toBe(written);
      expect(found.reasoning).toBe('');
      expect(found.tokens).toBe(0);
      const off = await readText(text, `assistant\n${open}\n\n${close}\n\n`);
      expect(off.text, text).toBe(written);
      expect(off.reasoning).toBe('');
    }
  });

  it('an answer that ends within the reasoning is all reasoning', async () => {
    expect(await readText(`${open}\nLet me see`, '')).toMatchObject({ reasoning: 'Let me see', text: '' });
    expect(await readText('Let me see\n', open)).toMatchObject({ reasoning: 'Let me see', text: '' });
  });

  it('a text goes on where it stood', async () => {
    const { reader } = await planAnswer(tokenizer, ends, {});
    const within = reader({ continued: `${open}Let me` });
    expect(read([...within.push(' see.'), ...within.end()])).toEqual({ reasoning: 'see.', text: '' });
    const behind = reader({ continued: `${open}Let me see.${close}It` });
    expect(read([...behind.push(' is.'), ...behind.end()])).toEqual({ reasoning: '', text: ' is.' });
  });

  it('comes apart however it is cut', async () => {
    const { reader } = await planAnswer(tokenizer, ends, {});
    const text = `${open}\na ${close.slice(0, 2)} b\n${close}\n${wrapped('c < d')}`;
    if (controls.length > 0) return;
    for (let cut = 1; cut < text.length; cut += 1) {
      const answer = reader();
      const events = [...answer.push(text.slice(0, cut)), ...answer.push(text.slice(cut)), ...answer.end()];
      expect(read(events), `cut at ${cut}`).toEqual({ reasoning: `a ${close.slice(0, 2)} b`, text: 'c < d' });
    }
  });
});

describe('constrained answers', () => {
  const think = withTemplate(`{# </think> #}${chatml}`, ['<think>', '</think>']);
  const ids = (text: string): number[] => think.encode(text, { addSpecialTokens: false });
  const format = { type: 'schema' as const, schema: { const: { ok: true } } };
  const accepts = async (text: string, prompt: string, budget?: number): Promise<boolean> => {
    const plan = await planAnswer(think, ends, { format, reasoning: budget === undefined ? {} : { budget } });
    const mask = plan.mask!({ prompt })!;
    for (const id of ids(text)) {
      if (mask.allowed()[id] !== 1) return false;
      mask.accept(id);
    }
    return mask.allowed()[ends[0]!] === 1;
  };

  it('are free while they reason, and fit behind it', async () => {
    expect(await accepts('{"ok":true}', '')).toBe(true);
    expect(await accepts('<think>\nHm, {"no":1}.\n</think>\n\n{"ok":true}', '')).toBe(true);
    expect(await accepts('Hm.</think>{"ok":true}', '<think>\n')).toBe(true);
    expect(await accepts('{"ok":true}', '<think>\n\n</think>\n\n')).toBe(true);
    expect(await accepts('<think>Hm.</think>Yes.', '')).toBe(false);
    expect(await accepts('Hm.</think>{"ok":true}', '')).toBe(false);
    // Reasoning alone is no answer.
    expect(await accepts('Hm.', '<think>\n')).toBe(false);
    expect(await accepts('<think>Hm.</think>', '<think>\n\n</think>\n\n')).toBe(false);
  });

  it('stop reasoning at the budget', async () => {
    const [close] = ids('</think>');
    for (const format of [{ type: 'text' as const }, { type: 'schema' as const, schema: { const: { ok: true } } }]) {
      for (const budget of [0, 1, 3]) {
        const plan = await planAnswer(think, ends, { format, reasoning: { budget } });
        const mask = plan.mask!({ prompt: '<think>\n' })!;
        for (let spent = 0; spent < budget; spent += 1) {
          expect(mask.allowed()[ids('a')[0]!]).toBe(1);
          mask.accept(ids('a')[0]!);
        }
        expect([...mask.allowed().keys()].filter((id) => mask.allowed()[id] === 1)).toEqual([close]);
        mask.accept(close!);
        expect(mask.allowed()[ids('{')[0]!]).toBe(1);
      }
    }
    const free = await planAnswer(think, ends, {});
    expect(free.mask).toBeUndefined();
  });
});

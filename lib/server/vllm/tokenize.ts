// POST /tokenize and /detokenize, as vLLM has them. What is counted of a conversation is what a chat would send.
import { Hono } from 'hono';
import { z } from 'zod';
import { ownTurn } from '../../flow/pause.js';
import type { ServerContext } from '../context.js';
import { jsonBody } from '../http/body.js';
import { requestFacts } from '../http/request.js';
import { list } from '../http/sized.js';
import { preparePrompt } from '../openai/chat-prompt.js';
import { chatBody } from '../openai/chat-request.js';
import { checkFields, warningHeader } from '../openai/fields.js';
import type { RequestFacts } from '../openai/generation.js';
import { checkTokens, encoded, tokenizerOf } from '../openai/prompt.js';
import { reasoningFields } from '../openai/reasoning.js';
import type { Resolved } from '../served.js';

// A text may be longer than the model's context, not longer than what is still answered at once.
const mostListed = 2 ** 17;

const model = z.string().min(1).nullish();

const tokenizeBody = z
  .looseObject({
    ...chatBody.pick({
      tools: true,
      tool_choice: true,
      parallel_tool_calls: true,
      response_format: true,
      chat_template: true,
      chat_template_kwargs: true,
      continue_final_message: true,
    }).shape,
    ...reasoningFields,
    model,
    prompt: z.string().optional(),
    messages: chatBody.shape.messages.optional(),
    add_generation_prompt: z.boolean().nullish(),
    add_special_tokens: z.boolean().nullish(),
    return_token_strs: z.boolean().nullish(),
  })
  .refine((body) => (body.prompt === undefined) !== (body.messages === undefined), {
    error: "expected either 'prompt' or 'messages'",
    path: ['prompt'],
  });

const detokenizeBody = z.looseObject({ model, tokens: list(z.number().int().min(0), mostListed) });

export function tokenizeRoutes(context: ServerContext): Hono {
  return new Hono()
    .post('/tokenize', async (c) => {
      const body = await jsonBody(c, context, tokenizeBody);
      // A whole request of a chat or a completion may come, to be counted.
      const warnings = checkFields(body, tokenizeBody, { alsoKnown: Object.keys(chatBody.shape) });
      const facts = requestFacts(c);
      using asked = await context.resolve(body.model, facts.signal);
      const { model } = asked;
      const tokenizer = tokenizerOf(model);
      const tokens = await tokensOf(model, body, facts);
      const answer = {
        count: tokens.length,
        max_model_len: model.decoder.config.contextLength,
        tokens,
        token_strs: body.return_token_strs ? tokens.map((id) => tokenizer.idToToken(id) ?? '') : null,
      };
      return c.json(answer, 200, warningHeader(warnings));
    })
    .post('/detokenize', async (c) => {
      const body = await jsonBody(c, context, detokenizeBody);
      const warnings = checkFields(body, detokenizeBody);
      using asked = await context.resolve(body.model, c.req.raw.signal);
      const { model } = asked;
      const tokenizer = tokenizerOf(model);
      checkTokens(model, body.tokens, 'tokens');
      await ownTurn();
      // With the special tokens, which decode() leaves out.
      const bytes = Buffer.concat(
        body.tokens.map((id) =>
          tokenizer.specialIds.has(id) ? Buffer.from(tokenizer.idToToken(id) ?? '') : tokenizer.tokenBytes(id),
        ),
      );
      return c.json({ prompt: bytes.toString('utf8') }, 200, warningHeader(warnings));
    });
}

async function tokensOf(
  model: Resolved['model'],
  body: z.infer<typeof tokenizeBody>,
  facts: RequestFacts,
): Promise<number[]> {
  const { prompt, messages } = body;
  if (!messages)
    return encoded(model, prompt ?? '', 'prompt', mostListed, { addSpecialTokens: body.add_special_tokens ?? true });
  const continued = body.continue_final_message === true;
  const limits = { most: mostListed, addGenerationPrompt: body.add_generation_prompt ?? !continued, continued };
  return (await preparePrompt(model, { ...body, messages }, limits, facts)).prompt;
}

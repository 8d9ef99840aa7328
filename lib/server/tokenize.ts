// POST /tokenize and /detokenize, as vLLM has them.
import { Hono } from 'hono';
import { z } from 'zod';
import { jsonBody } from './body.js';
import { chatBody, templateMessages } from './chat-request.js';
import type { ServerContext } from './context.js';
import { chatPrompt, plainPrompt, tokenizerOf } from './prompt.js';

const tokenizeBody = z
  .looseObject({
    model: z.string().min(1),
    prompt: z.string().optional(),
    messages: chatBody.shape.messages.optional(),
    tools: chatBody.shape.tools,
    chat_template_kwargs: chatBody.shape.chat_template_kwargs,
    add_generation_prompt: z.boolean().nullish(),
    add_special_tokens: z.boolean().nullish(),
    return_token_strs: z.boolean().nullish(),
  })
  .refine((body) => (body.prompt === undefined) !== (body.messages === undefined), {
    error: "expected either 'prompt' or 'messages'",
    path: ['prompt'],
  });

const detokenizeBody = z.looseObject({
  model: z.string().min(1),
  tokens: z.array(z.number().int().min(0)),
});

export function tokenizeRoutes(context: ServerContext): Hono {
  return new Hono()
    .post('/tokenize', async (c) => {
      const body = await jsonBody(c, context, tokenizeBody);
      using resolved = await context.resolve(body.model, c.req.raw.signal);
      const { model } = resolved;
      const tokenizer = tokenizerOf(model);
      const tokens = body.messages
        ? chatPrompt(context, model, templateMessages(body.messages), {
            ...body.chat_template_kwargs,
            tools: body.tools,
            addGenerationPrompt: body.add_generation_prompt ?? true,
          })
        : plainPrompt(context, model, body.prompt ?? '', 'prompt', body.add_special_tokens ?? true);
      return c.json({
        count: tokens.length,
        max_model_len: model.decoder.config.contextLength,
        tokens,
        token_strs: body.return_token_strs ? tokens.map((id) => tokenizer.idToToken(id) ?? '') : null,
      });
    })
    .post('/detokenize', async (c) => {
      const body = await jsonBody(c, context, detokenizeBody);
      using resolved = await context.resolve(body.model, c.req.raw.signal);
      const { model } = resolved;
      const tokenizer = tokenizerOf(model);
      // With the special tokens, which decode() leaves out.
      const bytes = Buffer.concat(
        body.tokens.map((id) =>
          tokenizer.specialIds.has(id) ? Buffer.from(tokenizer.idToToken(id) ?? '') : tokenizer.tokenBytes(id),
        ),
      );
      return c.json({ prompt: bytes.toString('utf8') });
    });
}

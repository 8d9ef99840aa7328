// Bodies of Ollama's API as chat completions, which the models' templates are written for.
import { badRequest } from '../http/errors.js';
import type { ChatBody } from '../openai/chat-request.js';
import { knownOptions, type OllamaChat, type OllamaGenerate } from './request.js';

// More tokens than any context has.
const longest = 2 ** 31;

/** @throws ApiError 400 for images, which no text model takes. */
export function chatBodyOf(body: OllamaChat, model: string): ChatBody {
  const messages = (body.messages ?? []).map((message, at): ChatBody['messages'][number] => {
    const { role, content, thinking, images, tool_calls: calls, tool_name: name, tool_call_id: id } = message;
    refuseImages(images, `messages[${at}].images`);
    return {
      role,
      content: content ?? '',
      ...(thinking ? { reasoning_content: thinking } : {}),
      ...(calls?.length ? { tool_calls: calls } : {}),
      ...(name ? { name } : {}),
      ...(id ? { tool_call_id: id } : {}),
    };
  });
  const tools = body.tools ?? [];
  return {
    ...commonOf(body, model, messages),
    ...(tools.length > 0 ? { tools: tools.map((tool) => ({ ...tool, type: 'function' as const })) } : {}),
  };
}

export function generateBodyOf(body: OllamaGenerate, model: string): ChatBody {
  refuseImages(body.images, 'images');
  const system = body.system ? [{ role: 'system' as const, content: body.system }] : [];
  return commonOf(body, model, [...system, { role: 'user', content: body.prompt ?? '' }]);
}

function refuseImages(images: unknown[] | null | undefined, param: string): void {
  if (images?.length)
    throw badRequest(`'${param}': images are not supported here: these models take text only.`, param);
}

function commonOf(body: OllamaChat | OllamaGenerate, model: string, messages: ChatBody['messages']): ChatBody {
  const { format, think } = body;
  const options = knownOptions.parse(body.options ?? {});
  const { num_predict: most, repeat_penalty: repetition, stop, seed } = options;
  return {
    model,
    messages,
    temperature: inside(options.temperature, 0, 2),
    top_p: inside(options.top_p, 0, 1),
    top_k: whole(options.top_k),
    min_p: inside(options.min_p, 0, 1),
    presence_penalty: inside(options.presence_penalty, -2, 2),
    frequency_penalty: inside(options.frequency_penalty, -2, 2),
    repetition_penalty: typeof repetition === 'number' && repetition > 0 ? Math.min(repetition, 10) : null,
    ...(typeof seed === 'number' && seed >= 0 ? { seed: Math.trunc(Math.min(seed, Number.MAX_SAFE_INTEGER)) } : {}),
    // -1 is without a limit, -2 to the end of the context.
    ...(typeof most === 'number' && most > 0 ? { max_tokens: Math.trunc(Math.min(most, longest)) } : {}),
    ...(stop && stop.length > 0 ? { stop: [stop].flat().filter((text) => text !== '') } : {}),
    ...(format === 'json' ? { response_format: { type: 'json_object' as const } } : {}),
    ...(format && typeof format === 'object'
      ? { response_format: { type: 'json_schema' as const, json_schema: { name: 'output', schema: format } } }
      : {}),
    ...(typeof think === 'boolean' ? { enable_thinking: think } : {}),
    ...(typeof think === 'string' && think !== '' ? { reasoning_effort: think } : {}),
  };
}

const inside = (value: number | null | undefined, least: number, most: number): number | null =>
  typeof value === 'number' ? Math.min(Math.max(value, least), most) : null;

const whole = (value: number | null | undefined): number | null =>
  typeof value === 'number' ? Math.max(-1, Math.trunc(value)) : null;

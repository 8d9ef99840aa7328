// The server's API as this page uses it. The key stays in this tab's session storage.

const keyName = 'helvetia-key';
const root = new URL('v1/', document.baseURI);

export const key = {
  get: () => sessionStorage.getItem(keyName) ?? '',
  set: (value) => (value ? sessionStorage.setItem(keyName, value) : sessionStorage.removeItem(keyName)),
};

/** A response that is a success; throws an Error with the server's own sentence. */
async function send(path, { body, ...init } = {}) {
  const headers = key.get() ? { authorization: `Bearer ${key.get()}` } : {};
  const isForm = body instanceof FormData;
  if (body !== undefined && !isForm) headers['content-type'] = 'application/json';
  const sent = body === undefined || isForm ? body : JSON.stringify(body);
  const response = await fetch(new URL(path, root), {
    ...init,
    headers,
    ...(sent === undefined ? {} : { body: sent }),
  });
  if (response.ok) return response;
  const text = await response.text();
  let message = text.slice(0, 300);
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // A body of another kind is shown as it is.
  }
  const failure = new Error(message || `The server answered ${response.status}.`);
  failure.status = response.status;
  throw failure;
}

export const get = async (path) => (await send(path)).json();
export const post = async (path, body = {}, init = {}) => (await send(path, { method: 'POST', body, ...init })).json();

/** All entries of a list, page by page. `until` ends it early. */
export async function* entries(path, until = () => false) {
  for (let after = ''; ; ) {
    const separator = path.includes('?') ? '&' : '?';
    const { data, has_more: more } = await get(`${path}${separator}limit=100${after && `&after=${after}`}`);
    for (const entry of data) {
      if (until(entry)) return;
      yield entry;
    }
    if (!more || data.length === 0) return;
    after = encodeURIComponent(data.at(-1).id);
  }
}

/** A chat completion as it comes: `{ thought }` for reasoning, `{ text }`, then `{ usage }`. */
export async function* chat(body, signal) {
  const streamed = { ...body, stream: true, stream_options: { include_usage: true } };
  const response = await send('chat/completions', { method: 'POST', body: streamed, signal });
  let rest = '';
  for await (const text of texts(response.body)) {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith('data: ') || line === 'data: [DONE]') continue;
      const chunk = JSON.parse(line.slice('data: '.length));
      if (chunk.error) throw new Error(chunk.error.message);
      const { content, reasoning_content: thought } = chunk.choices[0]?.delta ?? {};
      if (thought) yield { thought };
      if (content) yield { text: content };
      if (chunk.usage) yield { usage: chunk.usage };
    }
  }
}

/** Not every browser can iterate over a stream. */
async function* texts(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

// helvetia serve: OpenAI's API over one or more models, until Ctrl-C or SIGTERM.
import { once } from 'node:events';
import type { Command } from 'commander';
import { createServer, jsonLogger, type Server } from '../server/index.js';
import { addModelOptions, type ModelFlags } from './options.js';
import { given, positiveInteger, repeated, wholeNumber } from './parse.js';
import { type Context, styleFor } from './terminal.js';

interface Flags extends ModelFlags {
  host: string;
  port: number;
  data?: string;
  adapters?: string;
  apiKey?: string[];
  /** False where --no-auth is given. */
  auth: boolean;
  cors?: string[];
  allowedHost?: string[];
  metricsPrefix?: string;
  organization?: string;
  maxBatch?: number;
  maxQueued?: number;
  maxConnections?: number;
  keepAlive?: number;
  controlTokensInMessages?: boolean;
  drain: number;
  logText?: boolean;
  quiet?: boolean;
}

export function addServe(program: Command, context: Context): void {
  const command = program
    .command('serve')
    .summary("serve models by OpenAI's API")
    .description(
      "Serves models by OpenAI's API: chat, completions, embeddings, and with --data files and fine-tuning jobs. At / is a page to try it with. Ctrl-C or SIGTERM lets running answers end first.",
    )
    .argument('<models...>', 'folders, .gguf files, or Hugging Face names (ORG/NAME)')
    .option(
      '--host <address>',
      'where to listen; 0.0.0.0 is every network of this machine, which needs --api-key or --no-auth',
      '127.0.0.1',
    )
    .option('--port <n>', '0 takes any that is free', wholeNumber, 8000)
    .option('--data <folder>', 'keeps files, jobs and trained adapters here')
    .option('--adapters <folder>', 'each folder in it is an adapter, served by its name')
    .option(
      '--api-key <key>',
      'let in only who sends this key; may be given several times (or HELVETIA_API_KEY)',
      repeated,
    )
    .option('--no-auth', 'let other machines call without a key (or HELVETIA_NO_AUTH=1)')
    .option('--cors <origin>', "let a browser's page from there call; * is any; may be given several times", repeated)
    .option(
      '--allowed-host <name>',
      'a name by which this machine may call the server without a key, beside localhost; may be given several times',
      repeated,
    )
    .option('--max-batch <n>', 'sequences in a step at most', positiveInteger)
    .option('--max-queued <n>', 'sequences waiting at most; more are answered 429', positiveInteger)
    .option(
      '--max-connections <n>',
      'connections that requests may take (default: half of the files that the process may open)',
      positiveInteger,
    )
    .option(
      '--keep-alive <seconds>',
      'how long a connection stays open without a request (default: 75): longer than the pool of a proxy before it',
      positiveInteger,
    )
    .option('--drain <seconds>', 'how long running answers may take to end', wholeNumber, 30)
    .option(
      '--metrics-prefix <prefix>',
      "of the names in /metrics; 'vllm:' suits vLLM's dashboards (default: helvetia:)",
    )
    .option('--organization <name>', 'in the names of fine-tuned models (default: local)')
    .option('--control-tokens-in-messages', 'let messages spell control tokens, where all that clients send is trusted')
    .option('--log-text', 'put prompts and answers into the log')
    .option('--quiet', 'no log');
  addModelOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ helvetia serve models/helvetia-small
  $ helvetia serve ORG/NAME model.gguf --data ./data --adapters ./adapters
  $ helvetia serve ORG/NAME --host 0.0.0.0 --api-key "$KEY"
  $ curl localhost:8000/v1/models

The log is JSON lines on standard error.`,
    )
    .action((models: string[], flags: Flags) => serve(context, models, flags));
}

async function serve(context: Context, models: string[], flags: Flags): Promise<void> {
  const { stdout, stderr, env } = context.terminal;
  const { signal } = context.interrupts;
  const style = styleFor(stdout, env);
  const {
    device,
    dtype,
    data: dataDir,
    adapters,
    cors,
    allowedHost: allowedHosts,
    metricsPrefix,
    organization,
    maxBatch,
    maxQueued,
    maxConnections: connections,
    keepAlive: keepAliveSeconds,
    controlTokensInMessages,
    logText,
  } = flags;
  // An empty key is refused: whoever sets one does not mean to let everybody in.
  const apiKeys = flags.apiKey ?? (env.HELVETIA_API_KEY === undefined ? undefined : [env.HELVETIA_API_KEY]);
  const server = createServer({
    models,
    ...given({
      device,
      dtype,
      dataDir,
      adapters,
      cors,
      allowedHosts,
      metricsPrefix,
      organization,
      logText,
      apiKeys,
      controlTokensInMessages,
    }),
    engine: given({ maxBatch, maxQueued }),
    noAuth: !flags.auth || env.HELVETIA_NO_AUTH === '1',
    limits: given({ connections, keepAliveSeconds }),
    logger: flags.quiet ? false : jsonLogger(stderr),
  });
  try {
    const { url } = await server.listen({ host: flags.host, port: flags.port });
    await Promise.race([server.ready, aborted(signal)]);
    if (!signal.aborted) {
      const names = await servedNames(server, url, apiKeys?.[0]);
      stdout.write(`${style.bold(url)}/v1 serves ${names.join(', ')}; try it at ${style.bold(url)}\n`);
      await aborted(signal);
    }
  } finally {
    await server.close({ drainSeconds: flags.drain });
  }
  // Being told to stop is how a server ends.
  context.exitCode = 0;
}

/** The names that requests must use: of a path, its last part. */
async function servedNames({ fetch }: Server, url: string, apiKey: string | undefined): Promise<string[]> {
  const headers: Record<string, string> = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
  const response = await fetch(new Request(`${url}/v1/models`, { headers }));
  const { data } = (await response.json()) as { data: { id: string; parent: string | null }[] };
  return data.filter(({ parent }) => parent === null).map(({ id }) => id);
}

const aborted = async (signal: AbortSignal): Promise<void> => {
  if (!signal.aborted) await once(signal, 'abort');
};

// helvetia info: what a model, an adapter or a file of weights is, from its headers; no weight is read.
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { DType } from '../core/dtype.js';
import { longestText } from '../engine/texts/encoded.js';
import { openWeights } from '../files/folder-weights.js';
import { openGguf } from '../files/gguf.js';
import { resolveModel } from '../files/hub.js';
import { readJson } from '../files/json.js';
import { openSafetensors } from '../files/safetensors.js';
import type { Weights } from '../files/weights.js';
import { isBeside, languageConfig } from '../files/wrapped.js';
import { readPeftConfig } from '../lora/config.js';
import { decoderConfig } from '../models/architectures/index.js';
import {
  activeParameterCount,
  bytesPerToken,
  type DecoderConfig,
  embedderOf,
  parameterCount,
  weightBytes,
} from '../models/config.js';
import { ggufConfig } from '../models/gguf.js';
import { withPoolingType } from '../models/gguf-pooling.js';
import { kindOf } from '../models/kind.js';
import { sequenceBytes } from '../models/memory.js';
import { withModules } from '../models/sentence.js';
import { tokenizerFromGguf } from '../text/tokenizer/gguf-tokenizer.js';
import { Tokenizer } from '../text/tokenizer/tokenizer.js';
import { bytes, count, plural } from './format.js';
import { type Context, styleFor } from './terminal.js';

type Fields = Record<string, unknown>;
/** For machines, and the same in lines for people. */
interface Report {
  json: Fields;
  title: string;
  lines: [name: string, value: string][];
}

export function addInfo(program: Command, context: Context): void {
  program
    .command('info')
    .summary('say what a model, an adapter or a file is')
    .description(
      'Says what a model, an adapter or a file of weights is: architecture, parameters, formats, sizes, context, tokenizer. Reads headers only.',
    )
    .argument('<path>', 'a model (folder, .gguf file or ORG/NAME), an adapter folder, or a .safetensors file')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      `
Examples:
  $ helvetia info model.gguf
  $ helvetia info adapters/support --json`,
    )
    .action((path: string, flags: { json?: boolean }) => info(context, path, flags));
}

async function info(context: Context, path: string, flags: { json?: boolean }): Promise<void> {
  const { stdout, env } = context.terminal;
  const report = await inspect(path, context.interrupts.signal);
  if (flags.json) {
    stdout.write(`${JSON.stringify(report.json)}\n`);
    return;
  }
  const style = styleFor(stdout, env);
  const widest = Math.max(...report.lines.map(([name]) => name.length));
  stdout.write(`${style.bold(path)}: ${report.title}\n`);
  for (const [name, value] of report.lines) stdout.write(`  ${style.dim(name.padEnd(widest))}  ${value}\n`);
}

async function inspect(name: string, signal: AbortSignal): Promise<Report> {
  if (existsSync(join(name, 'adapter_config.json'))) return adapterReport(name);
  if (name.endsWith('.safetensors')) return safetensorsReport(name);
  const path = await resolveModel(name, { signal });
  return statSync(path).isDirectory() ? folderReport(path) : ggufReport(path);
}

const elements = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

interface Contents {
  tensors: number;
  parameters: number;
  bytes: number;
  /** Tensors by format. */
  formats: Record<string, number>;
}

function contents(weights: Weights): Contents {
  const out: Contents = { tensors: 0, parameters: 0, bytes: 0, formats: {} };
  for (const { dtype, shape, bytes } of weights.tensors.values()) {
    const format = dtype.toLowerCase();
    out.tensors++;
    out.parameters += elements(shape);
    out.bytes += bytes;
    out.formats[format] = (out.formats[format] ?? 0) + 1;
  }
  return out;
}

function contentLines(found: Contents): Report['lines'] {
  const formats = Object.entries(found.formats).sort(([, a], [, b]) => b - a);
  const kinds = formats.length === 1 ? formats[0]![0] : formats.map(([format, n]) => `${n} ${format}`).join(', ');
  return [
    ['parameters', `${count(found.parameters)} (${found.parameters.toLocaleString('en-US')})`],
    ['weights', `${plural(found.tensors, 'tensor')}, ${bytes(found.bytes)}: ${kinds}`],
  ];
}

interface Architecture {
  type: string;
  config?: DecoderConfig;
  /** Why the model cannot be run. */
  unsupported?: string;
}

function architecture(type: unknown, read: () => DecoderConfig): Architecture {
  try {
    const config = read();
    return { type: config.modelType, config };
  } catch (error) {
    return { type: typeof type === 'string' ? type : 'unknown', unsupported: (error as Error).message };
  }
}

function modelReport(
  title: string,
  path: string,
  found: Contents,
  kind: Architecture,
  tokenizer: Tokenizer | undefined,
  more: Fields = {},
): Report {
  const { config } = kind;
  const lines: Report['lines'] = [
    ['architecture', config ? kind.type : `${kind.type}, which does not run here: ${kind.unsupported}`],
  ];
  if (config) {
    const { layers, hiddenSize, vocabSize, contextLength, head } = config;
    const tied = head.tied && !config.bidirectional;
    lines.push(
      ...(kindOf(config) === 'language model' ? [] : [['kind', kindOf(config)] as [string, string]]),
      ['layers', `${layers.length} of width ${hiddenSize}`],
      ...layerKinds(config).map(({ facts, count }): [string, string] => [
        count === layers.length ? 'each layer' : plural(count, 'layer'),
        Object.entries(facts)
          .map(([name, size]) => `${words(name)} ${size}`)
          .join(', '),
      ]),
      ['vocabulary', `${plural(vocabSize, 'token')}${tied ? ', embedding and output tied' : ''}`],
      ['context', plural(contextLength, 'token')],
      ...textLines(config),
    );
  }
  const [total, active] = config ? [parameterCount(config), activeParameterCount(config)] : [0, 0];
  lines.push(...contentLines(found));
  const memory = config && memoryFields(config, found);
  if (memory && active < total)
    lines.push([
      'active parameters',
      `${count(active)} for one token, which reads ${bytes(memory.bytesPerToken)} of them`,
    ]);
  if (memory) {
    const { weightBytes, sequence } = memory;
    const more = `, ${bytes(sequence.bytes)} more for a sequence of ${plural(sequence.tokens, 'token')}`;
    lines.push(['memory', `${bytes(weightBytes)} as it is loaded${sequence.bytes > 0 ? more : ''}`]);
  }
  lines.push(
    ['tokenizer', tokenizer ? plural(tokenizer.vocabSize, 'token') : 'none: takes and gives token ids only'],
    ['chat template', tokenizer?.chatTemplate === undefined ? 'no' : 'yes'],
  );
  return {
    title,
    lines,
    json: {
      kind: 'model',
      path,
      architecture: kind.type,
      supported: config !== undefined,
      ...(kind.unsupported === undefined ? {} : { reason: kind.unsupported }),
      ...(config ? { ...shapeFields(config), ...textFields(config) } : {}),
      ...(memory ? { memory } : {}),
      ...found,
      tokenizer: tokenizer !== undefined,
      chatTemplate: tokenizer?.chatTemplate !== undefined,
      ...more,
    },
  };
}

/** How texts become vectors or scores, where the model is made for that. */
function textLines(config: DecoderConfig): [string, string][] {
  const kind = kindOf(config);
  if (kind === 'language model') return [];
  const { ranker } = config;
  const head = ranker ?? embedderOf(config);
  const longest: [string, string] = ['longest text', plural(longestText(config, head), 'token')];
  if (ranker) {
    const asked = ranker.asks ? 'asked in words' : 'of pairs of texts';
    return [['scores', `${asked}, ${ranker.sigmoid ? 'from 0 to 1' : 'logits'}`], longest];
  }
  const { pooling, layers, size, normalizes, prompts } = embedderOf(config);
  const behind = layers.length === 0 ? '' : `, ${plural(layers.length, 'layer')} behind it`;
  const length = normalizes ? ', of length 1' : '';
  const names = Object.keys(prompts);
  return [
    ['vectors', `${plural(size, 'number')}${length}, by pooling (${pooling.join(', ')})${behind}`],
    ...(names.length === 0 ? [] : [['prompts', names.join(', ')] as [string, string]]),
    longest,
  ];
}

/** The same for machines. */
function textFields(config: DecoderConfig): Fields {
  const { ranker } = config;
  const model = kindOf(config);
  if (model === 'language model') return {};
  const head = ranker ?? embedderOf(config);
  const own = ranker ? { sigmoid: ranker.sigmoid } : { dimensions: head.size, ...embedderFields(config) };
  return { model, pooling: head.pooling, longestText: longestText(config, head), ...own };
}

function embedderFields(config: DecoderConfig): Fields {
  const { normalizes, prompts } = embedderOf(config);
  return { normalizes, prompts: Object.keys(prompts) };
}

function shapeFields(config: DecoderConfig): Fields {
  const { layers, hiddenSize, vocabSize, contextLength, head } = config;
  const kinds = layerKinds(config);
  return {
    layers: layers.length,
    hiddenSize,
    ...(kinds.length === 1 ? kinds[0]!.facts : { layerKinds: kinds.map(({ facts, count }) => ({ count, ...facts })) }),
    vocabSize,
    contextLength,
    tied: head.tied,
    activeParameters: activeParameterCount(config),
  };
}

/**
 * Bytes of the weights as they are loaded where no format is asked for, all and those that decoding one token reads; and of
 * a sequence's keys, values and states.
 */
function memoryFields(config: DecoderConfig, { parameters, bytes }: Contents) {
  // Formats of less than 16 bits are widened to 16.
  const dtype: DType = bytes > 3 * parameters ? 'f32' : 'bf16';
  const tokens = Math.min(config.contextLength, 4096);
  return {
    weightBytes: weightBytes(config, dtype),
    bytesPerToken: bytesPerToken(config, dtype),
    sequence: { tokens, bytes: sequenceBytes(config, dtype, tokens) },
  };
}

/** The layers by what their parts say of their sizes. */
function layerKinds({ layers }: DecoderConfig): { facts: Readonly<Record<string, number>>; count: number }[] {
  const kinds = new Map<string, { facts: Readonly<Record<string, number>>; count: number }>();
  for (const { facts } of layers) {
    const key = JSON.stringify(facts);
    kinds.set(key, { facts, count: (kinds.get(key)?.count ?? 0) + 1 });
  }
  return [...kinds.values()];
}

/** `kvHeads` → `kv heads` */
const words = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

async function folderReport(path: string): Promise<Report> {
  const file = join(path, 'config.json');
  const json = readJson(file);
  let folders: readonly string[] = [];
  const kind = architecture(json.model_type, () => {
    const modules = withModules(path, decoderConfig(file, languageConfig(file, json)));
    folders = modules.folders;
    return modules.config;
  });
  using weights = openWeights(path, folders);
  const left = [...weights.tensors.keys()].filter(isBeside).length;
  const title =
    left === 0 ? 'a Hugging Face model' : `the language model of a ${json.model_type}, a Hugging Face model`;
  const report = modelReport(title, path, contents(weights), kind, await Tokenizer.fromFolder(path), { leftOut: left });
  if (left > 0) report.lines.push(['left out', `${plural(left, 'tensor')} of towers, projectors or drafting layers`]);
  return report;
}

function ggufReport(path: string): Report {
  using gguf = openGguf(path);
  const kind = architecture(gguf.metadata.get('general.architecture'), () => {
    return withPoolingType(gguf, decoderConfig(path, ggufConfig(gguf)));
  });
  const tokenizer = gguf.metadata.has('tokenizer.ggml.model') ? tokenizerFromGguf(gguf.metadata, gguf.path) : undefined;
  const name = gguf.metadata.get('general.name');
  const title = typeof name === 'string' ? `a GGUF model, ${name}` : 'a GGUF model';
  return modelReport(title, path, contents(gguf), kind, tokenizer, { ggufVersion: gguf.version });
}

function adapterReport(path: string): Report {
  const file = join(path, 'adapter_config.json');
  const config = readPeftConfig(file, readJson(file));
  using weights = openSafetensors(join(path, 'adapter_model.safetensors'));
  const found = contents(weights);
  const { r, loraAlpha, loraDropout, targetModules, targetParameters = [], useRslora, baseModel } = config;
  const targets = [targetModules, targetParameters].flat().join(', ');
  return {
    title: 'a LoRA adapter',
    lines: [
      ['base model', baseModel ?? 'not named'],
      ['rank', `${r}, alpha ${loraAlpha}${useRslora ? ' (divided by the square root of the rank)' : ''}`],
      ['dropout', String(loraDropout)],
      ['targets', targets],
      ...contentLines(found),
    ],
    json: {
      kind: 'adapter',
      path,
      baseModel: baseModel ?? null,
      r,
      loraAlpha,
      loraDropout,
      useRslora,
      targetModules,
      targetParameters,
      ...found,
    },
  };
}

function safetensorsReport(path: string): Report {
  using weights = openSafetensors(path);
  const found = contents(weights);
  const metadata = Object.fromEntries(weights.metadata);
  const told = Object.entries(metadata).map(([key, value]): [string, string] => [
    key,
    value.length > 100 ? `${value.slice(0, 99)}…` : value,
  ]);
  return {
    title: 'a safetensors file',
    lines: [...contentLines(found), ...told],
    json: { kind: 'safetensors', path, ...found, metadata },
  };
}

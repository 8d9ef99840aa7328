// The files of sentence-transformers in a model's folder: which modules stand behind the model (modules.json and a folder for
// each), what is put before texts (config_sentence_transformers.json), how long texts may be (sentence_bert_config.json).
import { join } from 'node:path';
import { z } from 'zod';
import { check, readJson, readJsonIfThere, readJsonListIfThere } from '../files/json.js';
import { shown } from '../flow/fault.js';
import type { Activation } from '../parts/mlp.js';
import { type PoolingKind, poolingByFlags, poolingByName, poolingFlags, poolingNames } from '../parts/pooling.js';
import {
  type Embedder,
  type TextHead,
  tokenLogits,
  type VectorLayer,
  vectorLinear,
  vectorNorm,
} from '../parts/text-head.js';
import { optional, size } from './architecture.js';
import type { DecoderConfig } from './config.js';

const modulesSchema = z.array(z.looseObject({ type: z.string(), path: z.string() }));

const settingsSchema = z.looseObject({
  prompts: optional(z.record(z.string(), z.string())),
  default_prompt_name: optional(z.string()),
  activation_fn: optional(z.string()),
});

const textsSchema = z.looseObject({ max_seq_length: optional(size), do_lower_case: optional(z.boolean()) });

const poolingSchema = z.looseObject({
  pooling_mode: optional(z.union([z.string(), z.array(z.string())])),
  include_prompt: optional(z.boolean()),
  ...Object.fromEntries(poolingFlags.map((flag) => [flag, optional(z.boolean())])),
});

const denseSchema = z.looseObject({
  in_features: size,
  out_features: size,
  bias: optional(z.boolean()),
  activation_function: optional(z.string()),
  module_input_name: optional(z.literal('sentence_embedding')),
  module_output_name: optional(z.literal('sentence_embedding')),
});

const normSchema = z.looseObject({ dimension: size });

const logitSchema = z.looseObject({
  true_token_id: z.number().int().min(0),
  false_token_id: optional(z.number().int().min(0)),
});

/** PyTorch's names of activations; those of which nothing is left are identities. */
const torchActivations: Readonly<Record<string, Activation | undefined>> = {
  Identity: undefined,
  GELU: 'gelu',
  ReLU: 'relu',
  SiLU: 'silu',
  Tanh: 'tanh',
};

/** What the modules come to, one after the other. */
interface Chain {
  head: { pooling: readonly PoolingKind[]; layers: readonly VectorLayer[]; size: number } | undefined;
  countsPrompt: boolean;
  normalizes: boolean;
  logits: VectorLayer | undefined;
  /** Dense modules so far. */
  matrices: number;
}

interface Module {
  readonly folder: string;
  /** Its folder's name. */
  readonly path: string;
  readonly config: DecoderConfig;
}

type Rule = (chain: Chain, module: Module) => Chain;

/** @throws Error that names the module's file, where no pooling comes before it. */
function behind({ head }: Chain, { folder }: Module): TextHead {
  if (head) return head;
  throw new Error(`${folder}: a module of vectors must come behind a Pooling module in modules.json`);
}

/** The modules, by the last part of their type. */
const rules: Readonly<Record<string, Rule>> = {
  Transformer: (chain) => chain,
  Dropout: (chain) => chain,
  Pooling(chain, { folder, config }) {
    const file = join(folder, 'config.json');
    const json = check(file, poolingSchema, readJson(file));
    const pooling = poolingOf(file, json);
    return {
      ...chain,
      head: { pooling, layers: [], size: pooling.length * config.hiddenSize },
      countsPrompt: json.include_prompt ?? true,
    };
  },
  Dense(chain, module) {
    const { layers, size: width, ...head } = behind(chain, module);
    const file = join(module.folder, 'config.json');
    const json = check(file, denseSchema, readJson(file));
    if (json.in_features !== width)
      throw new Error(`${file}: in_features must be ${width}, as the module before gives, got ${json.in_features}`);
    const name = json.activation_function?.split('.').at(-1) ?? 'Tanh';
    if (!Object.hasOwn(torchActivations, name)) {
      const known = Object.keys(torchActivations).join(', ');
      throw new Error(`${file}: activation_function must be one of ${known}, got ${shown(name)}`);
    }
    const place = { path: `${module.path}.linear`, gguf: `dense_${chain.matrices + 2}` };
    const sizes = { in: width, out: json.out_features, bias: json.bias ?? true };
    const layer = vectorLinear(place, { ...sizes, activation: torchActivations[name] });
    return {
      ...chain,
      head: { ...head, layers: [...layers, layer], size: layer.size },
      matrices: chain.matrices + 1,
    };
  },
  LayerNorm(chain, module) {
    const { layers, size: width, ...head } = behind(chain, module);
    const file = join(module.folder, 'config.json');
    const { dimension } = check(file, normSchema, readJson(file));
    if (dimension !== width)
      throw new Error(`${file}: dimension must be ${width}, as the module before gives, got ${dimension}`);
    const place = { path: `${module.path}.norm`, gguf: `${module.path}.norm` };
    const layer = vectorNorm(place, { size: width, eps: 1e-5, layer: { bias: true } });
    return { ...chain, head: { ...head, layers: [...layers, layer], size: width } };
  },
  Normalize(chain, module) {
    behind(chain, module);
    return { ...chain, normalizes: true };
  },
  LogitScore(chain, { folder, config }) {
    const file = join(folder, 'config.json');
    const json = check(file, logitSchema, readJson(file));
    for (const [key, id] of Object.entries({
      true_token_id: json.true_token_id,
      false_token_id: json.false_token_id,
    })) {
      if (id !== null && id !== undefined && id >= config.vocabSize)
        throw new Error(`${file}: ${key} must be below the vocabulary's ${config.vocabSize}, got ${id}`);
    }
    return { ...chain, logits: tokenLogits(config.head, json.true_token_id, json.false_token_id ?? undefined) };
  },
};

function poolingOf(file: string, json: z.output<typeof poolingSchema>): PoolingKind[] {
  const { pooling_mode: given } = json;
  if (given === null || given === undefined) {
    const flagged = poolingByFlags(json);
    return flagged.length > 0 ? flagged : ['mean'];
  }
  return [given].flat().map((name) => {
    const kind = poolingByName(name);
    if (!kind) throw new Error(`${file}: pooling_mode must be of ${poolingNames.join(', ')}, got ${shown(name)}`);
    return kind;
  });
}

/** The folders of modules that have weights of their own, by the names that their tensors begin with. */
export interface ModuleFolders {
  readonly config: DecoderConfig;
  readonly folders: readonly string[];
}

/** The files that say how texts become vectors, besides the folders of modules. */
export const sentenceFiles: readonly string[] = [
  'modules.json',
  'config_sentence_transformers.json',
  'sentence_bert_config.json',
];

/**
 * A model with what sentence-transformers' files in its folder say of it.
 *
 * @throws Error that names the file, and the field or the module that is not supported.
 */
export function withModules(folder: string, config: DecoderConfig): ModuleFolders {
  const file = join(folder, 'modules.json');
  const settingsFile = join(folder, 'config_sentence_transformers.json');
  const textsFile = join(folder, 'sentence_bert_config.json');
  const settings = check(settingsFile, settingsSchema, readJsonIfThere(settingsFile) ?? {});
  const texts = check(textsFile, textsSchema, readJsonIfThere(textsFile) ?? {});
  const maxLength = Math.min(texts.max_seq_length ?? config.contextLength, config.contextLength);
  const sigmoid = !settings.activation_fn?.endsWith('Identity');
  const ranker = config.ranker && {
    ...config.ranker,
    maxLength,
    ...(settings.activation_fn ? { sigmoid } : {}),
  };
  const listed = readJsonListIfThere(file);
  if (listed === undefined) return { config: { ...config, ranker }, folders: [] };
  let chain: Chain = { head: undefined, countsPrompt: true, normalizes: false, logits: undefined, matrices: 0 };
  const folders: string[] = [];
  const all: string[] = [];
  for (const { type, path } of check(file, modulesSchema, listed)) {
    const name = type.split('.').at(-1)!;
    if (!Object.hasOwn(rules, name)) {
      const known = Object.keys(rules).join(', ');
      throw new Error(`${file}: module ${shown(type)} is not supported; supported: ${known}`);
    }
    // Anything but a plain name could lead out of the folder.
    if (!/^(?!\.)[\w.-]*$/.test(path))
      throw new Error(`${file}: path must be the name of a folder, got ${shown(path)}`);
    if (chain.normalizes) throw new Error(`${file}: no module may come behind Normalize, got ${shown(type)}`);
    if (path !== '') all.push(path);
    const weights = chain.head?.layers.length ?? 0;
    chain = rules[name]!(chain, { folder: join(folder, path), path, config });
    if ((chain.head?.layers.length ?? 0) > weights) folders.push(path);
  }
  const { head, countsPrompt, normalizes, logits } = chain;
  const embedder: Embedder | undefined = head && {
    ...head,
    countsPrompt,
    normalizes,
    lowercases: texts.do_lower_case ?? false,
    prompts: settings.prompts ?? {},
    defaultPrompt: defaultPromptOf(settingsFile, settings),
    maxLength,
    folders: all,
  };
  const judge = logits && {
    pooling: ['last'] as const,
    layers: [logits],
    size: 1,
    sigmoid,
    maxLength,
    asks: config.asks,
    inChat: true,
  };
  return { config: { ...config, embedder, ranker: judge ?? ranker }, folders };
}

function defaultPromptOf(file: string, settings: z.output<typeof settingsSchema>): string | undefined {
  const { default_prompt_name: name, prompts } = settings;
  if (name === null || name === undefined) return undefined;
  if (prompts && Object.hasOwn(prompts, name)) return name;
  throw new Error(`${file}: default_prompt_name must be the name of one of the prompts, got ${shown(name)}`);
}

// Options that several commands share.
import { type Command, Option } from 'commander';
import type { GenerateOptions } from '../text/options.js';
import { given, nonNegative, positive, positiveShare, repeated, share, wholeNumber } from './parse.js';

export interface ModelFlags {
  dtype?: 'f32' | 'bf16' | 'f16';
  device?: string;
  adapter?: string;
}

export const modelArgument = 'a folder, a .gguf file, or a Hugging Face name (ORG/NAME)';

export function addDType(command: Command): Command {
  return command.addOption(
    new Option(
      '--dtype <format>',
      "format of the weights (default: the file's own; bf16 where it is quantised)",
    ).choices(['f32', 'bf16', 'f16']),
  );
}

export function addDevice(command: Command): Command {
  return command.option('--device <name>', "'cpu', 'cuda', or 'auto': CUDA where it can be used", 'auto');
}

export function addModelOptions(command: Command): Command {
  command.optionsGroup('Model:');
  return addDevice(addDType(command));
}

export interface SamplingFlags {
  maxNewTokens?: number;
  temperature?: number;
  topK?: number;
  topP?: number;
  minP?: number;
  repetitionPenalty?: number;
  seed?: number;
  stop?: string[];
  ignoreEos?: boolean;
}

export function addSampling(command: Command): Command {
  return command
    .optionsGroup('Generation:')
    .option('--max-new-tokens <n>', 'stop after this many tokens (default: 512)', wholeNumber)
    .option(
      '--temperature <t>',
      "0 takes the likeliest token, 1 draws as the model thinks (default: the model's own, else 0)",
      nonNegative,
    )
    .option('--top-k <n>', 'draw among the n likeliest tokens; 0 is off', wholeNumber)
    .option('--top-p <p>', 'draw among the likeliest tokens that together reach p (0 to 1)', positiveShare)
    .option('--min-p <p>', "drop tokens below p times the likeliest one's probability (0 to 1)", share)
    .option('--repetition-penalty <x>', 'make tokens that were there less likely; 1 is off', positive)
    .option('--seed <n>', 'the same seed gives the same text (default: a random one)', wholeNumber)
    .option('--stop <text>', 'end before this text; may be given several times', repeated)
    .option('--ignore-eos', "go on after the model's end token");
}

export function samplingOf(flags: SamplingFlags): GenerateOptions {
  const { maxNewTokens, temperature, topK, topP, minP, repetitionPenalty, seed, stop, ignoreEos } = flags;
  return given({
    maxNewTokens,
    temperature,
    topK,
    topP,
    minP,
    repetitionPenalty,
    seed,
    stop,
    ignoreEos,
  }) as GenerateOptions;
}

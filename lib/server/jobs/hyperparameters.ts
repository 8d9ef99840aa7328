// A job's hyperparameters on the wire: OpenAI's, those of the methods, and a few more, of the adapter and an absolute
// learning rate.
import { z } from 'zod';
import { type MethodName, methodNames, methods, optionsOf } from '../../train/methods/index.js';
import { list } from '../http/sized.js';

const auto = <T extends z.ZodType>(type: T) => z.union([z.literal('auto'), type]);

const shared = {
  batch_size: auto(z.number().int().min(1).max(256)).nullish(),
  learning_rate_multiplier: auto(z.number().positive()).optional(),
  n_epochs: auto(z.number().int().min(1).max(50)).optional(),
  learning_rate: z.number().positive().optional(),
  lora_r: z.number().int().min(1).max(1024).optional(),
  lora_alpha: z.number().positive().optional(),
  lora_dropout: z.number().min(0).lt(1).optional(),
  // Endings of paths only: a regular expression from outside could hold the event loop for good.
  target_modules: z.union([z.literal('all-linear'), list(z.string().min(1).max(200), 100, 1)]).optional(),
  max_length: z.number().int().min(2).optional(),
};

/** A method's own hyperparameters on the wire, each with the option that it sets. */
export const ownHyperparameters = (
  method: MethodName,
): { name: string; option: string; schema: z.ZodType; otherwise: unknown }[] =>
  optionsOf(methods[method]).flatMap(([option, { wire, default: otherwise }]) =>
    wire ? [{ name: wire.name, option, schema: auto(wire.schema).optional(), otherwise }] : [],
  );

const sharedSchema = z.strictObject(shared);

/** As requests have them, the method's own among them; once the data is known, numbers stand for `auto`. */
export type Hyperparameters = z.infer<typeof sharedSchema> & { [own: string]: unknown };

/** Every method's shared hyperparameters, and the own ones of these. */
export function schemaOf(names: readonly MethodName[]): z.ZodType<Hyperparameters> {
  const own: Record<string, z.ZodType> = {};
  for (const { name, schema } of names.flatMap(ownHyperparameters))
    own[name] = own[name] ? z.union([own[name], schema]) : schema;
  return sharedSchema.extend(own) as z.ZodType<Hyperparameters>;
}

/** As records have them, of any method. */
export const hyperparametersSchema = schemaOf(methodNames);

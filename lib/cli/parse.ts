// Turns what stands after an option into its value. A wrong one is a usage error that says what is expected.
import { InvalidArgumentError } from 'commander';
import type { ZodType } from 'zod';

function number(text: string, expected: string, fits: (value: number) => boolean): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || !fits(value))
    throw new InvalidArgumentError(`Expected ${expected}.`);
  return value;
}

export const positiveInteger = (text: string): number =>
  number(text, 'a positive integer', (n) => Number.isSafeInteger(n) && n > 0);

export const atLeastTwo = (text: string): number =>
  number(text, 'an integer of 2 or more', (n) => Number.isSafeInteger(n) && n >= 2);

export const wholeNumber = (text: string): number =>
  number(text, 'an integer of 0 or more', (n) => Number.isSafeInteger(n) && n >= 0);

export const positive = (text: string): number => number(text, 'a number above 0', (n) => n > 0);

export const nonNegative = (text: string): number => number(text, 'a number of 0 or more', (n) => n >= 0);

export const share = (text: string): number => number(text, 'a number from 0 to 1', (n) => n >= 0 && n <= 1);

export const positiveShare = (text: string): number =>
  number(text, 'a number above 0, at most 1', (n) => n > 0 && n <= 1);

export const shareBelowOne = (text: string): number =>
  number(text, 'a number from 0 to below 1', (n) => n >= 0 && n < 1);

export const someText = (text: string): string => {
  if (text === '') throw new InvalidArgumentError('Expected a text that is not empty.');
  return text;
};

/** For an option that may be given several times. */
export const repeated = (text: string, before: readonly string[] = []): string[] => [...before, someText(text)];

/** Sizes separated by commas. */
export function sizes(text: string): number[] {
  const values = text.split(',').map((part) => Number(part.trim() || Number.NaN));
  if (values.some((value) => !Number.isSafeInteger(value) || value <= 0)) {
    throw new InvalidArgumentError('Expected positive integers separated by commas, such as 512,1024.');
  }
  return values;
}

/** Names separated by commas. */
export const names = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');

/** `all-linear`, names separated by commas, or a regular expression for whole module paths. */
export function targetModules(text: string): string | string[] {
  if (text === 'all-linear') return text;
  if (/^[\w.,\s-]+$/.test(text) && !/\.\*/.test(text)) return names(text);
  try {
    new RegExp(text);
  } catch (error) {
    throw new InvalidArgumentError(
      `Expected all-linear, names separated by commas, or a regular expression (${(error as Error).message}).`,
    );
  }
  return text;
}

/** A number or a word that one of the schemas takes. */
export const fitting =
  (schemas: readonly ZodType[]) =>
  (text: string): string | number => {
    const value = text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text);
    if (schemas.some((schema) => schema.safeParse(value).success)) return value;
    throw new InvalidArgumentError(`Expected ${schemas.map(({ description }) => description).join(' or ')}.`);
  };

/** Without the options that were not given: the library's own defaults hold for them. */
export function given<T extends object>(options: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> };
}

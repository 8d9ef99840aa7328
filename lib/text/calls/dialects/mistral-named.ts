// Mistral since 2025 (v11 and v13 of its tokenizer): a call's name, then its arguments behind a mark. v11 writes the
// call's id between the two.

import { byte, repeat, sequence, text } from '../../grammar/expression.js';
import { oneOf, upToMost } from '../call-grammar.js';
import { shortIdLength, withShortIds } from '../history.js';
import { jsonArguments } from '../json-call.js';
import { blanks, literal, run } from '../reading.js';
import { type Dialect, writesCallsAs } from './dialect.js';

const opening = '[TOOL_CALLS]';
const idMark = '[CALL_ID]';
const argumentsMark = '[ARGS]';
const longest = 64;

const id = repeat(byte([0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a]), shortIdLength, shortIdLength);

export const mistralNamed: Dialect = {
  name: 'mistral-named',
  marks: [opening, idMark, argumentsMark],
  openings: [opening],
  recognises: writesCallsAs(/\[TOOL_CALLS\] ?probe_function(\[CALL_ID\]\w+)?\[ARGS\] ?\{/),
  messages: withShortIds,
  *read(input) {
    yield* blanks(input);
    const name = yield* run(input, /[\w.-]/, longest);
    if (name === '') return false;
    if (yield* literal(input, idMark)) {
      yield* blanks(input);
      yield* run(input, /\w/, longest);
    }
    if (!(yield* literal(input, argumentsMark))) return false;
    yield { type: 'name', text: name };
    yield* jsonArguments(input);
    return true;
  },
  async grammar({ tools, several, model, first, mark }) {
    const ids = model.called.includes(idMark) ? [mark(idMark), id] : [];
    const call = await oneOf(tools, (name, given) => sequence(text(name), ...ids, mark(argumentsMark), given));
    const one = sequence(first(opening), call);
    return several ? upToMost(one, sequence(mark(opening), call)) : one;
  },
};

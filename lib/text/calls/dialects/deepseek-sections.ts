// DeepSeek V3, V3.1 and R1: a section of calls in control tokens. V3 writes a call's arguments as a Markdown fence, V3.1
// behind its name. Their templates describe no tools, so the system message does.

import { sequence, text } from '../../grammar/expression.js';
import { withSystemText } from '../history.js';
import { jsonArguments } from '../json-call.js';
import { blanks, literal, run } from '../reading.js';
import { callSections } from '../sections.js';
import type { Dialect, ModelFacts } from './dialect.js';

const open = '<｜tool▁calls▁begin｜>';
const callOpen = '<｜tool▁call▁begin｜>';
const separator = '<｜tool▁sep｜>';
const callClose = '<｜tool▁call▁end｜>';
const close = '<｜tool▁calls▁end｜>';
const longest = 128;
const fence = '```';

export const deepseekSections: Dialect = {
  name: 'deepseek-sections',
  ...callSections({
    ...{ open, callOpen, callClose, close },
    inside: [separator],
    *call(input) {
      let name = yield* run(input, /[\w.-]/, longest);
      yield* blanks(input);
      if (!(yield* literal(input, separator))) return false;
      yield* blanks(input);
      const fenced = !/^[{<]/.test(input.rest) && name === 'function';
      if (fenced) {
        name = yield* run(input, /[\w.-]/, longest);
        yield* blanks(input);
        if (name === '' || !(yield* literal(input, `${fence}json`))) return false;
      }
      yield { type: 'name', text: name };
      yield* jsonArguments(input);
      yield* blanks(input);
      if (fenced) yield* literal(input, fence);
      return true;
    },
    written: (name, given, { model, mark }) =>
      isFenced(model)
        ? sequence(text('function'), mark(separator), text(`${name}\n${fence}json\n`), given, text(`\n${fence}`))
        : sequence(text(name), mark(separator), given),
  }),
  describesTools: true,
  recognises: ({ called }) =>
    /<｜tool▁call▁begin｜> ?(function<｜tool▁sep｜> ?)?probe_function(<｜tool▁sep｜>|\s*```json)/.test(called),
  messages: (messages, tools, model) =>
    tools.length === 0 ? messages : withSystemText(messages, instructions(tools, model), model),
};

const isFenced = ({ called }: ModelFacts): boolean => called.includes(`${fence}json`);

function instructions(tools: readonly unknown[], model: ModelFacts): string {
  const described = tools.map((tool) => {
    const { name, description, parameters } = (tool as { function: Record<string, unknown> }).function;
    return `### ${name}\nDescription: ${description ?? ''}\n\nParameters: ${JSON.stringify(parameters ?? {})}\n`;
  });
  const call = isFenced(model)
    ? `${callOpen}function${separator}NAME\n${fence}json\nARGUMENTS\n${fence}${callClose}`
    : `${callOpen}NAME${separator}ARGUMENTS${callClose}`;
  return (
    `## Tools\nYou have access to the following tools:\n\n${described.join('\n')}\nTo use tools, write exactly:\n` +
    `${open}${call}${close}\n\nNAME is the name of a tool, ARGUMENTS is JSON that follows its parameters. Write several ` +
    'calls one behind the other, without anything between them.'
  );
}

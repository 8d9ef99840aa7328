// The string formats that are enforced, as expressions of a JSON string's inside. Each takes all that its format allows;
// where a rule would cost too many states, it takes more.

import { choice, type Expression, empty, optional, repeat, rule, sequence } from './expression.js';
import { ofLength } from './lengths.js';
import { patternExpression } from './pattern.js';

/** @throws Error for a pattern that is not understood: the patterns of this file all are. */
function pattern(source: string): Expression {
  const found = patternExpression(`^${source}$`);
  if (!found) throw new Error(`formats: the pattern ${source} is not understood`);
  return rule(found);
}

const padded = (value: number): string => String(value).padStart(2, '0');

/** RFC 3339, section 5.6; a year divisible by 4, but by 400 where it is one of a century, has a 29th of February. */
const date = choice(
  pattern('\\d{4}-((0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)'),
  pattern('(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29'),
);

const fraction = optional(pattern('[.]\\d+'));
const offset = pattern('([Zz]|[+-]([01]\\d|2[0-3]):[0-5]\\d)');

/** 23:59:60 UTC as each offset of whole quarters of an hour writes it. No clock has had others since there are such seconds. */
function leapSecond(): Expression {
  const quarters = Array.from({ length: 24 * 4 }, (_, i) => i * 15);
  const clock = (minutes: number): string => `${padded(Math.floor(minutes / 60))}:${padded(minutes % 60)}`;
  const times = quarters.map((east) => {
    const local = (east + 23 * 60 + 59) % (24 * 60);
    const west = 24 * 60 - east;
    const offsets = [`[+]${clock(east)}`, ...(east === 0 ? ['[Zz]', '-00:00'] : [`-${clock(west)}`])];
    return sequence(pattern(`${clock(local)}:60`), fraction, pattern(`(${offsets.join('|')})`));
  });
  return rule(choice(...times));
}

const time = choice(sequence(pattern('([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d'), fraction, offset), leapSecond());

const ipv4 = pattern('((25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)[.]){3}(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)');

/** RFC 4291, section 2.2: eight groups, of which `::` stands for one or more, and the last two may be an IPv4 address. */
function ipv6(): Expression {
  const group = pattern('[0-9a-fA-F]{1,4}');
  const colon = pattern(':');
  const led = rule(sequence(colon, group));
  const followed = rule(sequence(group, colon));
  const upTo = (most: number): Expression =>
    choice(
      empty,
      ...(most > 0 ? [sequence(group, repeat(led, 0, most - 1))] : []),
      ...(most > 1 ? [sequence(repeat(followed, 0, most - 2), ipv4)] : []),
    );
  const shortened = Array.from({ length: 8 }, (_, before) =>
    sequence(
      before > 0 ? sequence(group, repeat(led, before - 1, before - 1)) : empty,
      pattern('::'),
      upTo(7 - before),
    ),
  );
  const tail = choice(sequence(group, led), ipv4);
  return choice(sequence(repeat(followed, 6, 6), tail), ...shortened);
}

/** RFC 1123, section 2.1. The length of all labels together is not counted. */
const hostname = pattern(
  '[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?){0,126}',
);
const hostnameOfAnyLabels = pattern('[A-Za-z0-9](-*[A-Za-z0-9])*([.][A-Za-z0-9](-*[A-Za-z0-9])*)*');

const atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const mailboxName = choice(pattern(`${atom}([.]${atom})*`), pattern('"([ !#-\\[\\]-~]|\\\\[ -~])*"'));
const mostOfName = 64;
const addressLiteral = choice(ipv4, sequence(pattern('[Ii][Pp][Vv]6:'), ipv6()));

/** RFC 5321, section 4.1.2: a dot-string or a quoted one, at a domain or an address in brackets. */
function email(name: Expression, host: Expression, literal: Expression): Expression {
  return sequence(name, pattern('@'), choice(host, sequence(pattern('\\['), literal, pattern('\\]'))));
}

/** ISO 8601 as RFC 3339, appendix A, has it; units in between may be left out. */
function duration(): Expression {
  const amount = (unit: string): Expression => pattern(`\\d+${unit}`);
  /** Some of the units in their order, one at least. */
  const some = (units: string): Expression => {
    const amounts = [...units].map(amount);
    return choice(...amounts.map((first, i) => sequence(first, ...amounts.slice(i + 1).map(optional))));
  };
  const clock = rule(sequence(pattern('T'), some('HMS')));
  return sequence(pattern('P'), choice(sequence(some('YMD'), optional(clock)), clock, amount('W')));
}

export interface Format {
  text: Expression;
  /** Beside a length of its own a format counts no other lengths: both together take too many states. */
  counted?: Expression;
}

const formats: Readonly<Record<string, Format>> = {
  date: { text: date },
  time: { text: time },
  'date-time': { text: sequence(date, pattern('[Tt]'), time) },
  duration: { text: duration() },
  email: {
    text: email(ofLength(mailboxName, 1, mostOfName) ?? mailboxName, hostname, addressLiteral),
    counted: email(mailboxName, hostnameOfAnyLabels, pattern('[0-9A-Fa-fIiPpVv:.]+')),
  },
  hostname: { text: hostname, counted: hostnameOfAnyLabels },
  ipv4: { text: ipv4 },
  ipv6: { text: ipv6() },
  uuid: { text: pattern('[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}') },
};

export function formatOf(name: unknown): Format | undefined {
  return typeof name === 'string' && Object.hasOwn(formats, name) ? formats[name] : undefined;
}

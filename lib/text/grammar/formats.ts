// The string formats that can be enforced, as patterns. Each takes a subset of what the format allows.

const hex = '[0-9a-f]';
const date = '[12]\\d{3}-(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])';
const time = '([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?(Z|[+-](0\\d|1[0-4]):[0-5]\\d)';
const byte = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const label = '[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?';
const group = `${hex}{1,4}`;

export const formatPatterns: Readonly<Record<string, string>> = {
  date: `^${date}$`,
  time: `^${time}$`,
  'date-time': `^${date}T${time}$`,
  duration: '^P(\\d{1,4}D(T\\d{1,2}H(\\d{1,2}M)?)?|T\\d{1,2}H(\\d{1,2}M)?|\\d{1,3}W)$',
  email: `^[A-Za-z0-9_]([A-Za-z0-9_+-]{0,30}[A-Za-z0-9_])?@${label}(\\.${label}){1,3}$`,
  hostname: `^${label}(\\.${label}){0,3}$`,
  ipv4: `^${byte}(\\.${byte}){3}$`,
  ipv6: `^${group}(:${group}){7}$`,
  uuid: `^${hex}{8}-${hex}{4}-[1-8]${hex}{3}-[89ab]${hex}{3}-${hex}{12}$`,
};

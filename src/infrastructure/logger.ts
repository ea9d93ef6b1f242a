import type { Writable } from 'node:stream';
import { createLogger as createWinston, format, transports } from 'winston';
import { displayJson, displayText, type Log, type LogFields, maskUserInfo, Secret } from '#base';
import { coloursFor } from './colours.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LoggerOptions {
  readonly level?: LogLevel;
  /** `auto`: text when the stream is a terminal, one JSON object a line otherwise. */
  readonly format?: 'auto' | 'json' | 'text';
  /** Default: stderr. */
  readonly stream?: Writable & { readonly isTTY?: boolean };
}

const guarded = new WeakSet<Writable>();

/** The host's log, on winston. stdout stays free for what a command prints. */
export function createLogger(options: LoggerOptions = {}): Log {
  const stream = options.stream ?? process.stderr;
  // A closed pipe behind the log must not end a host that has an agent to stop.
  if (!guarded.has(stream)) stream.on('error', () => undefined);
  guarded.add(stream);
  const isText = options.format === 'text' || (options.format !== 'json' && stream.isTTY === true);
  const logger = createWinston({
    level: options.level ?? 'info',
    format: format.combine(
      format.timestamp(),
      format.printf((record) => redact(isText ? asText(record, stream) : asJson(record))),
    ),
    transports: [new transports.Stream({ stream, eol: '\n' })],
  });

  function view(bound: LogFields): Log {
    const write = (level: LogLevel) => (message: string, fields?: LogFields) => {
      logger.log({ ...apart({ ...bound, ...fields }), level, message });
    };
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      child: (fields) => view({ ...bound, ...fields }),
    };
  }
  return view({});
}

const taken = new Set(['level', 'message', 'timestamp']);

/** Fields may not take the names of a record's own parts: winston would join or lose them. */
function apart(fields: LogFields): LogFields {
  if (!Object.keys(fields).some((name) => taken.has(name))) return fields;
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [taken.has(name) ? `field_${name}` : name, value]),
  );
}

function asJson(record: Readonly<Record<string, unknown>>): string {
  const { timestamp, level, message, ...fields } = record;
  return displayJson(stringify({ time: timestamp, level, message, ...fields }));
}

function asText(record: Readonly<Record<string, unknown>>, stream: { readonly isTTY?: boolean }): string {
  const { timestamp, level, message, ...fields } = record;
  const colour = coloursFor(stream);
  const paint =
    level === 'error'
      ? colour.red
      : level === 'warn'
        ? colour.yellow
        : level === 'debug'
          ? colour.dim
          : colour.green;
  const time = String(timestamp).slice(11, 23);
  const facts = Object.entries(withFlatError(fields))
    .filter(([, value]) => value !== undefined)
    .map(
      ([name, value]) =>
        `${colour.dim(`${displayText(name)}=`)}${typeof value === 'string' ? quoted(value) : displayJson(stringify(value))}`,
    )
    .join(' ');
  return `${colour.dim(time)} ${paint(String(level).padEnd(5))} ${displayText(String(message))}${facts ? `  ${facts}` : ''}`;
}

/** For people, `error.code=…` and `error.message=…` instead of an object. An `Error` keeps its stack and its causes. */
function withFlatError(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { error, ...others } = fields;
  if (typeof error !== 'object' || error === null || error instanceof Error) return fields;
  const parts = Object.entries(error).map(([name, value]) => [`error.${name}`, value]);
  return { ...others, ...Object.fromEntries(parts) };
}

function quoted(text: string): string {
  return /^[\w.:/@+-]+$/.test(text) ? text : displayJson(JSON.stringify(text));
}

function stringify(value: unknown): string {
  const seen = new WeakSet<object>();
  return (
    JSON.stringify(value, (_name, inner: unknown) => {
      const plain = plainly(inner);
      if (typeof plain !== 'object' || plain === null) return plain;
      // A log call must never throw for what it was given.
      if (seen.has(plain)) return '[seen above]';
      seen.add(plain);
      return plain;
    }) ?? 'undefined'
  );
}

/** What JSON has no word for: errors (winston alone prints them as `{}`), bigints, secrets, bytes. */
function plainly(value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Secret) return value.toString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('hex');
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  if (value instanceof Error) {
    const code: unknown = (value as { code?: unknown }).code;
    return {
      name: value.name,
      ...(code === undefined ? {} : { code }),
      message: value.message,
      stack: value.stack,
      ...(value.cause === undefined ? {} : { cause: value.cause }),
      ...(value instanceof AggregateError ? { errors: value.errors } : {}),
    };
  }
  return value;
}

const secretForms: ReadonlyArray<readonly [RegExp, string]> = [
  // k3s' join token, with or without its CA hash; a node password is behind `::node:`.
  [/K10[0-9a-f]{0,64}::[^\s"'\\]+/g, 'K10[secret]'],
  // A bootstrap token in kubeadm's form, as a word of its own (`on-steady.0123456789abcdef` is the name of an event). In a
  // JSON line the letter of an escape such as `\n` can stand before it.
  [/(?:(?<![\w.-])|(?<=\\[nrt]))[a-z0-9]{6}\.[a-z0-9]{16}(?![\w-]|\.\w)/g, '[secret]'],
  [/\bsuiprivkey1[02-9ac-hj-np-z]+/g, 'suiprivkey[secret]'],
  // A Seal proof; the token's public name, `seal_` and 32 hex digits, has no dots and passes.
  [/\bseal_[\w-]+\.[\w-]+\.[\w-]*/g, 'seal_[secret]'],
  [/\b(Bearer\s+)[\w.~+/=-]{16,}/gi, '$1[secret]'],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, '[secret]'],
];

/** The second net: whatever looks like a secret is taken out of a finished line. The first is the type `Secret`. */
export function redact(line: string): string {
  return maskUserInfo(secretForms.reduce((text, [form, instead]) => text.replace(form, instead), line));
}

/** One line of k3s' output as a record. A line that is neither logrus nor klog is the message as a whole. */
export interface LogRecord {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  /** `time` of a logrus line, `source` (file:line) of a klog line, and the `key=value` pairs of either. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Reads one line of `k3s agent`: logrus' text format, klog's (structured or plain), or anything. */
export function parseLogLine(line: string): LogRecord {
  return parseLogrus(line) ?? parseKlog(line) ?? { level: 'info', message: line, fields: {} };
}

const logrusLevels: Readonly<Record<string, LogRecord['level']>> = {
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warning: 'warn',
  warn: 'warn',
  error: 'error',
  fatal: 'error',
  panic: 'error',
};

function parseLogrus(line: string): LogRecord | undefined {
  if (!/^time=|^level=/.test(line)) return undefined;
  const pairs = readPairs(line);
  const level = logrusLevels[pairs?.level ?? ''];
  if (!pairs || !level || pairs.msg === undefined) return undefined;
  const { level: name = '', msg, ...fields } = pairs;
  const isFatal = name === 'fatal' || name === 'panic';
  return { level, message: msg, fields: isFatal ? { ...fields, severity: name } : fields };
}

const klogLine = /^([IWEF])(\d{4} \d\d:\d\d:\d\d\.\d+) +\d+ ([^\]\s]+)\] ?(.*)$/s;
const klogLevels = { I: 'info', W: 'warn', E: 'error', F: 'error' } as const;

function parseKlog(line: string): LogRecord | undefined {
  const match = klogLine.exec(line);
  if (!match) return undefined;
  const [, severity, time = '', source = '', rest = ''] = match;
  const level = klogLevels[severity as keyof typeof klogLevels];
  const quoted = readQuoted(rest, 0);
  const pairs = quoted && readPairs(rest.slice(quoted.end).trimStart());
  if (!quoted || !pairs) return { level, message: rest, fields: { time, source } };
  return { level, message: quoted.text, fields: { ...pairs, time, source } };
}

/** `a=b c="d e"`; undefined when the text is anything else, so that no part of it is lost. */
function readPairs(text: string): Record<string, string> | undefined {
  const pairs: Record<string, string> = {};
  const key = /\s*([^\s="]+)=/y;
  for (let at = 0; at < text.trimEnd().length; ) {
    key.lastIndex = at;
    const name = key.exec(text)?.[1];
    if (name === undefined) return undefined;
    const quoted = readQuoted(text, key.lastIndex);
    const bare = quoted ? undefined : /[^\s"]*/y;
    if (bare) bare.lastIndex = key.lastIndex;
    pairs[name] = quoted?.text ?? bare?.exec(text)?.[0] ?? '';
    at = quoted?.end ?? bare?.lastIndex ?? text.length;
    if (at < text.length && !/\s/.test(text[at] as string)) return undefined;
  }
  return pairs;
}

const escapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
};

/** A string as Go's `%q` writes it, beginning at `from`. */
function readQuoted(text: string, from: number): { readonly text: string; readonly end: number } | undefined {
  const match = /"((?:[^"\\]|\\.)*)"/sy;
  match.lastIndex = from;
  const body = match.exec(text)?.[1];
  if (body === undefined) return undefined;
  const plain = body.replace(
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/gis,
    (_, x?: string, u?: string, long?: string, letter: string = '') => {
      const code = x ?? u ?? long;
      if (code === undefined) return escapes[letter] ?? letter;
      const point = Number.parseInt(code, 16);
      return point <= 0x10ffff ? String.fromCodePoint(point) : '\ufffd';
    },
  );
  return { text: plain, end: match.lastIndex };
}

/** Cuts a stream of text into lines. `rest` returns a last line without an end. */
export class LineSplitter {
  #pending = '';
  /** Longer ones are cut, not dropped: a stream without line ends must not fill the memory. */
  readonly #longest: number;

  constructor(longest = 64 * 1024) {
    this.#longest = longest;
  }

  push(chunk: string): string[] {
    const lines = (this.#pending + chunk).split('\n');
    this.#pending = lines.pop() ?? '';
    while (this.#pending.length > this.#longest) {
      lines.push(this.#pending.slice(0, this.#longest));
      this.#pending = this.#pending.slice(this.#longest);
    }
    return lines.map((line) => line.replace(/\r$/, '')).filter((line) => line !== '');
  }

  rest(): string[] {
    const last = this.#pending;
    this.#pending = '';
    return last === '' ? [] : [last];
  }
}

/** What a line says about a join that does not succeed. */
export interface JoinTrouble {
  /** k3s' own message, without the part that is always the same. */
  readonly reason: string;
  /** The server answered with a refusal: waiting alone does not help. false: it may be unreachable or not ready. */
  readonly isRefusal: boolean;
}

const preambles = [
  /^Waiting to retrieve agent configuration; server is not ready: (.*)$/s,
  /^Failed to validate connection to cluster at \S+: (.*)$/s,
  /^(Node authorization rejected, .*)$/s,
  /^(Timeout while trying to read the file.*)$/s,
];
const refusals =
  /not authorized|unauthorized|forbidden|unable to verify (?:node identity|password)|Node (?:password|authorization) rejected|token CA hash does not match|with Body length 0|invalid token/i;

/** Finds why a join makes no progress: k3s repeats such lines for ever at level info and never ends by itself. */
export function joinTrouble({ message, fields }: LogRecord): JoinTrouble | undefined {
  // Not final: an agent that is not admitted yet keeps trying, and registers as soon as it is admitted.
  if (message === 'Unable to register node with API server')
    return { reason: `the Node is not accepted: ${fields.err ?? message}`, isRefusal: false };
  const plain = message.replace(/^Error: /, '');
  for (const preamble of preambles) {
    const reason = preamble.exec(plain)?.[1];
    if (reason !== undefined) return { reason, isRefusal: refusals.test(reason) };
  }
  return undefined;
}

/** Why k3s ends itself: its fatal line, or the one before the page of flags. */
export function fatalWords({ message, fields }: LogRecord): string | undefined {
  const usage = /^Incorrect Usage: (.+)/s.exec(message)?.[1];
  const words = fields.severity === undefined ? usage : message.replace(/^Error: /, '');
  return words === undefined ? undefined : withoutTokens(words);
}

/** The last fatal message in the whole output of k3s. */
export function configurationFault(output: string): string | undefined {
  return output
    .split('\n')
    .map((line) => fatalWords(parseLogLine(line)))
    .findLast((words) => words !== undefined);
}

const settingFaults = [
  /flag provided but not defined|flag needs an argument|bad flag syntax|Cannot use two forms of the same flag/,
  /invalid (?:boolean )?value ".*" for (?:flag )?-|could not parse ".*" as \w+ value from environment/,
  /^yaml: |failed to parse config location/,
  /failed to parse kubelet flag|failed to validate kubelet (?:flags|configuration)|failed to load (?:kubelet|drop-in)/i,
  /failed to parse node taints|prepare (?:default|user) configuration drop-ins?/,
  /agent requires additional privilege|must be run as root/,
];

/** Whether the message is about a setting: then a restart does not help, only a correction. */
export function isSettingFault(words: string): boolean {
  return settingFaults.some((fault) => fault.test(words));
}

/** A message about a flag repeats its value, and that may be a join token in the wrong place. */
function withoutTokens(text: string): string {
  return text
    .replaceAll(/K10[0-9a-f]*::\S+/gi, '[secret]')
    .replaceAll(/\b[a-z0-9]{6}\.[a-z0-9]{16}\b/g, '[secret]');
}

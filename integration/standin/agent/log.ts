/** k3s logs in two voices on stderr: its own (logrus text) and that of the Kubernetes parts inside it (klog). */
export type LogrusLevel = 'debug' | 'info' | 'warning' | 'error' | 'fatal';

export function logrus(level: LogrusLevel, message: string, fields: Record<string, string> = {}): void {
  const time = `${new Date().toISOString().slice(0, 19)}Z`;
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${quoteIfNeeded(value)}`);
  write(`time="${time}" level=${level} msg=${JSON.stringify(message)}${rest.join('')}`);
}

/** `where` is the source file and line that klog puts before the `]`. */
export function klog(
  severity: 'I' | 'W' | 'E',
  where: string,
  message: string,
  fields: Record<string, string> = {},
): void {
  const [date, time] = new Date().toISOString().split('T') as [string, string];
  const stamp = `${date.slice(5, 7)}${date.slice(8, 10)} ${time.slice(0, 12)}000`;
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  write(
    `${severity}${stamp} ${String(process.pid).padStart(7)} ${where}] ${JSON.stringify(message)}${rest.join('')}`,
  );
}

function quoteIfNeeded(value: string): string {
  return /^[\w./@^+:-]+$/.test(value) ? value : JSON.stringify(value);
}

function write(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** A Go program dies of SIGPIPE at the first line that nobody reads; Node only raises an error. */
export function dieWhenNobodyReads(): void {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit(141));
}

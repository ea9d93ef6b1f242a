import { messageOf } from '#base';
import { decidedSettings } from './arguments.ts';
import { findBinary } from './binary.ts';
import { runToEnd } from './process.ts';

const patienceMs = 10_000;

/**
 * What k3s itself says about the flags of `k3s agent`, from the installed binary, each flag that this program decides with the
 * reason. Never fails: without a binary it says so.
 */
export async function k3sAgentHelp(
  binary: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  try {
    const path = await findBinary(binary, env);
    const { PATH = '/usr/bin:/bin' } = env;
    const end = await runToEnd(path, ['agent', '--help'], { env: { PATH }, timeoutMs: patienceMs });
    const options = end.kind === 'ended' ? optionsOf(end.stdout) : [];
    if (options.length === 0) return `Flags of k3s agent: ${path} does not show them.`;
    return [`Flags of k3s agent (${path}), passed on as they are:`, ...options.map(annotated)].join('\n');
  } catch (error) {
    return `Flags of k3s agent: not shown here, ${messageOf(error)}`;
  }
}

function optionsOf(help: string): readonly string[] {
  const [, section = ''] = help.split(/^(?:GLOBAL )?OPTIONS:\n/m);
  return section.split('\n').filter((line) => /^\s+-/.test(line));
}

function annotated(line: string): string {
  const name = /--([a-z][a-z0-9-]*)/.exec(line)?.[1] ?? '';
  const reason = decidedSettings[name];
  if (reason === undefined) return line;
  // The sentence of k3s begins in a column of its own.
  const column = /(?<=\S) {2,}(?=\()/.exec(line);
  return `${column ? line.slice(0, column.index + column[0].length) : `${line}  `}REJECTED: ${reason}`;
}

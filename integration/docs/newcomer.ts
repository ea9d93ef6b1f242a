import { spawn } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Outcome, outcomeOf } from '../world/outcome.ts';
import { projectRoot } from '../world/program.ts';
import { type Block, blocksOf } from './pages.ts';

/** What stands in a page → what stands for it here: networks, paths, ids. */
export type Table = ReadonlyArray<readonly [string | RegExp, string]>;

const ran = new Set<string>();
const keyOf = ({ page, line }: Block) => `${page}:${line}`;

export function wasRun(block: Block): boolean {
  return ran.has(keyOf(block));
}

/** The one block of a page that matches; it counts as run. */
export function take(page: string, words: string | RegExp): Block {
  const found = blocksOf(page).filter(({ text }) =>
    typeof words === 'string' ? text.includes(words) : words.test(text),
  );
  const [block] = found;
  if (!block || found.length > 1)
    throw new Error(`${page} has ${found.length} blocks with '${words}', expected one`);
  ran.add(keyOf(block));
  return block;
}

/** A person with an empty home directory, the program on the PATH, and the pages open. */
export class Newcomer {
  readonly directory: string;
  readonly home: string;
  readonly env: Record<string, string>;

  private constructor(directory: string, env: Readonly<Record<string, string>>) {
    this.directory = directory;
    this.home = join(directory, 'home');
    this.env = {
      PATH: `${join(this.home, 'bin')}:${dirname(process.execPath)}:${process.env.PATH}`,
      HOME: this.home,
      NO_COLOR: '1',
      ...env,
    };
  }

  static async in(directory: string, env: Readonly<Record<string, string>> = {}): Promise<Newcomer> {
    const newcomer = new Newcomer(directory, env);
    await mkdir(join(newcomer.home, 'bin'), { recursive: true, mode: 0o700 });
    await symlink(join(projectRoot, 'bin', 'k3s-daas'), join(newcomer.home, 'bin', 'k3s-daas'));
    return newcomer;
  }

  /** Runs the block as it stands in the page, but for the table; stops at the first line that fails. */
  run(block: Block, table: Table = [], cwd = this.directory): Promise<Outcome> {
    return this.shell(replace(block.text, table), cwd);
  }

  shell(script: string, cwd = this.directory): Promise<Outcome> {
    return outcomeOf(
      spawn('bash', ['-ec', script], { cwd, env: this.env, stdio: ['ignore', 'pipe', 'pipe'] }),
    );
  }

  /** Writes the block to a file, as the page tells to. */
  write(block: Block, file: string, table: Table = []): Promise<void> {
    return writeFile(file, replace(block.text, table), { mode: 0o600 });
  }
}

export function replace(text: string, table: Table): string {
  return table.reduce((before, [from, to]) => before.replaceAll(from, to), text);
}

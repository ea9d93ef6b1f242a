import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Outcome, outcomeOf } from './outcome.ts';
import type { World } from './world.ts';

// oxlint-disable unicorn/no-useless-spread -- a flag and its value on one line
type Wallet = Awaited<ReturnType<World['chain']['wallet']>>;

export interface PersonTools {
  readonly kubectl: string;
  readonly helm: string;
}

/** Somebody with a wallet, a home directory of their own, and the tools of a person: nothing of ours is on their PATH. */
export class Person {
  readonly wallet: Wallet;
  readonly home: string;
  readonly #world: World;
  readonly #tools: PersonTools;

  private constructor(world: World, tools: PersonTools, wallet: Wallet) {
    this.#world = world;
    this.#tools = tools;
    this.wallet = wallet;
    this.home = join(world.directory, `person-${wallet.address.slice(2, 10)}`);
  }

  static async of(world: World, tools: PersonTools): Promise<Person> {
    const person = new Person(world, tools, await world.chain.wallet(200n));
    await mkdir(person.home, { mode: 0o700 });
    return person;
  }

  get login(): string {
    return join(this.home, 'login.json');
  }
  get kubeconfig(): string {
    return join(this.home, 'kubeconfig');
  }

  /** One of our commands that spends, by this wallet; gives what it prints. */
  async spend(...args: readonly string[]): Promise<Record<string, unknown>> {
    const { url, client } = this.#world.chain;
    return this.command(
      ...args,
      ...['--key-file', this.wallet.keyFile, '--journal', join(this.home, 'journal.json')],
      ...['--endpoint', url, '--allow-insecure', '--deployment', this.#world.deploymentFile],
      ...(args[0] === 'stake' ? ['--accept-terms', (await client.cluster()).termsFingerprint] : []),
      '--yes',
    );
  }

  /** One of our commands; gives what it prints. */
  async command(...args: readonly string[]): Promise<Record<string, unknown>> {
    const { code, lines, tail } = await this.#world.command(...args, '--json');
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}:\n${tail}`);
    return lines.at(-1) as Record<string, unknown>;
  }

  /** The kubeconfig of their login. */
  async writeKubeconfig(): Promise<void> {
    const { server, serverCaFile } = this.#world.k3s;
    await this.command(
      ...['kubeconfig', '--login', this.login, '--server', server, '--ca-file', serverCaFile],
      ...['--out', this.kubeconfig],
    );
  }

  kubectl(args: readonly string[], options: ToolOptions = {}): Promise<Outcome> {
    return this.run(this.#tools.kubectl, args, options);
  }
  helm(args: readonly string[], options: ToolOptions = {}): Promise<Outcome> {
    return this.run(this.#tools.helm, args, options);
  }

  run(program: string, args: readonly string[], options: ToolOptions = {}): Promise<Outcome> {
    return outcomeOf(
      spawn(program, [...args], { ...this.#spawning(options.env), stdio: ['ignore', 'pipe', 'pipe'] }),
    );
  }

  /** A kubectl that goes on, with its standard input open. */
  start(args: readonly string[], { env }: ToolOptions = {}) {
    return spawn(this.#tools.kubectl, [...args], { ...this.#spawning(env), stdio: ['pipe', 'pipe', 'pipe'] });
  }

  /** What kubectl would show the API server now. */
  async bearer(): Promise<string> {
    const { status } = await this.command('credential', '--login', this.login, '--any-caller');
    return (status as { token: string }).token;
  }

  #spawning(env: Readonly<Record<string, string>> = {}) {
    return {
      cwd: this.home,
      env: { PATH: '/usr/bin:/bin', HOME: this.home, KUBECONFIG: this.kubeconfig, ...env },
    };
  }
}

interface ToolOptions {
  readonly env?: Readonly<Record<string, string>>;
}

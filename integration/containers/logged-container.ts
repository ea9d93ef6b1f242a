import type { GenericContainer, StartedTestContainer } from 'testcontainers';
import { getContainerRuntimeClient } from 'testcontainers';
import type { Lifetime } from '#base';
import { until } from '../world/kubernetes.ts';
import type { Line } from '../world/program.ts';

/** A container of ours and the JSON lines that it writes. */
export class LoggedContainer {
  readonly container: StartedTestContainer;
  readonly lines: Line[];
  readonly #text: readonly string[];
  #isRemoved = false;

  private constructor(container: StartedTestContainer, lines: Line[], text: readonly string[]) {
    this.container = container;
    this.lines = lines;
    this.#text = text;
  }

  static async start(container: GenericContainer, life: Lifetime): Promise<LoggedContainer> {
    const [lines, text]: [Line[], string[]] = [[], []];
    const take = (chunk: unknown) => {
      for (const line of String(chunk)
        .split('\n')
        .filter((one) => one !== '')) {
        text.push(line);
        try {
          lines.push(JSON.parse(line) as Line);
        } catch {
          // Not one of ours.
        }
      }
    };
    const started = await container.withLogConsumer((stream) => stream.on('data', take)).start();
    const logged = new LoggedContainer(started, lines, text);
    life.defer(`the container ${started.getName()}`, () => logged.stop(5_000));
    return logged;
  }

  event(name: string, { from = 0 } = {}): Promise<Line> {
    return until(
      `the event ${name}`,
      async () => this.lines.slice(from).find((line) => line.event === name),
      {
        // A host that registers again pauses its heartbeats for up to a minute.
        withinMs: 150_000,
      },
    ).catch((error: unknown) => {
      throw new Error(`${String(error)}; its last lines:\n${this.#text.slice(-15).join('\n')}`);
    });
  }

  count(name: string): number {
    return this.lines.filter((line) => line.event === name).length;
  }

  async exitCode(): Promise<number> {
    return until('the container to end', async () => {
      const state = await this.#state();
      return state.Running ? undefined : state.ExitCode;
    });
  }

  async isRunning(): Promise<boolean> {
    return (await this.#state()).Running;
  }

  async #state(): Promise<{ readonly Running: boolean; readonly ExitCode: number }> {
    const { container } = await getContainerRuntimeClient();
    return (await container.inspect(container.getById(this.container.getId()))).State;
  }

  /** Takes it off its network, or puts it back. */
  async connect(networkId: string, isConnected: boolean): Promise<void> {
    const { network } = await getContainerRuntimeClient();
    const one = network.getById(networkId);
    const what = { Container: this.container.getId() };
    if (isConnected) await one.connect(what);
    else await one.disconnect(what);
  }

  /** SIGTERM, and SIGKILL when that is not enough in time. */
  async stop(withinMs: number): Promise<void> {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    await this.container.stop({ timeout: withinMs });
  }

  /** Away at once, as a machine whose power is cut. */
  async remove(): Promise<void> {
    this.#isRemoved = true;
    const { container } = await getContainerRuntimeClient();
    await container.getById(this.container.getId()).remove({ force: true });
  }
}

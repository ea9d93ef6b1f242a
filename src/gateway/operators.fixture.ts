import { createPrivateKey } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { type Agent, request } from 'node:https';
import { join } from 'node:path';
import type { Reply } from './operator.fixture.ts';
import { type Issued, issueOperatorCertificate, makeOperatorCa } from './operator-ca.ts';
import { OPERATOR_FILES, type OperatorList, readOperatorList } from './operator-list.ts';
import type { OperatorRole } from './operator-roles.ts';
import { World } from './world.fixture.ts';

interface AskOptions {
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
  /** Keeps its connections. */
  readonly agent?: Agent;
}

/** A gateway that answers operators on other machines, and their authority. */
export class OperatorsWorld implements AsyncDisposable {
  readonly world: World;
  readonly directory: string;
  readonly ca: Issued;

  private constructor(world: World, directory: string, ca: Issued) {
    this.world = world;
    this.directory = directory;
    this.ca = ca;
  }

  static async start(): Promise<OperatorsWorld> {
    const world = await World.create();
    const directory = join(world.directory, 'operators');
    await mkdir(directory, { mode: 0o700 });
    const ca = await makeOperatorCa(Date.now());
    await writeFile(join(directory, OPERATOR_FILES.caCert), ca.certificate);
    const made = new OperatorsWorld(world, directory, ca);
    await made.write({ version: 1, operators: [] });
    world.config = { ...world.config, operators: { listen: { host: '127.0.0.1', port: 0 }, directory } };
    await world.startGateway();
    return made;
  }

  write(list: OperatorList): Promise<void> {
    return writeFile(join(this.directory, OPERATOR_FILES.list), JSON.stringify(list));
  }

  /** A certificate, on the list unless told otherwise. */
  async issue(
    name: string,
    role: OperatorRole,
    { by = this.ca, isListed = true, expiresInMs = 3_600_000, listedRole = role } = {},
  ): Promise<Issued & { readonly serial: string }> {
    const nowMs = Date.now();
    const expiresAtMs = nowMs + expiresInMs;
    const caKey = createPrivateKey(by.key);
    const order = { caCert: by.certificate, caKey, name, role, nowMs, expiresAtMs };
    const issued = await issueOperatorCertificate(order);
    const { serial } = issued;
    const list = await readOperatorList(this.directory);
    const entry = { name, role: listedRole, serial, issuedAtMs: nowMs, expiresAtMs: nowMs + 3_600_000 };
    if (isListed) await this.write({ ...list, operators: [...list.operators, entry] });
    return issued;
  }

  async revoke(serial: string): Promise<void> {
    const list = await readOperatorList(this.directory);
    await this.write({
      ...list,
      operators: list.operators.map((entry) =>
        entry.serial === serial ? { ...entry, revokedAtMs: Date.now() } : entry,
      ),
    });
  }

  get port(): number {
    return this.world.gateway?.operatorsPort() ?? 0;
  }

  /** One request on a connection of its own; rejects when TLS refuses it. */
  ask(
    shown: { readonly certificate: string; readonly key: string } | undefined,
    [method, path]: readonly [method: string, path: string],
    { body, headers = {}, agent }: AskOptions = {},
  ): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>();
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: this.port,
        method,
        path,
        agent: agent ?? false,
        rejectUnauthorized: false,
        ...(shown && { cert: shown.certificate, key: shown.key }),
        headers: { ...headers, ...(body !== undefined && { 'content-type': 'application/json' }) },
      },
      (incoming) => {
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({
            status: incoming.statusCode ?? 0,
            json: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>),
          });
        });
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body === undefined ? undefined : JSON.stringify(body));
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.world[Symbol.asyncDispose]();
  }
}

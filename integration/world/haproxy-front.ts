import { execFileSync } from 'node:child_process';
import { chmod, chown, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lifetime } from '#base';
import { startHaproxy } from '../../src/gateway/haproxy.fixture.ts';

interface Front {
  /** `gateway.listen.proxySocket` */
  readonly socketPath: string;
  start(tls: { readonly certFile: string; readonly keyFile: string }): Promise<void>;
}

/**
 * A place for a gateway's socket and the HAProxy in front of it. As root it is what docs/operations.md describes: HAProxy is a
 * user of its own, whose group alone may enter the directory and connect.
 */
export async function makeFront(life: Lifetime, port: number): Promise<Front> {
  const directory = await mkdtemp(join(tmpdir(), 'k3s-daas-front-'));
  life.defer('the directory of the gateway’s socket', () => rm(directory, { recursive: true }));
  const isPrivileged = process.geteuid?.() === 0;
  if (isPrivileged) {
    const [, , gid] = execFileSync('getent', ['group', 'haproxy'], { encoding: 'utf8' }).split(':');
    await chown(directory, 0, Number(gid));
    await chmod(directory, 0o2710);
  }
  const socketPath = join(directory, 'gateway.sock');
  return {
    socketPath,
    async start({ certFile, keyFile }) {
      const certAndKey = (await readFile(certFile, 'utf8')) + (await readFile(keyFile, 'utf8'));
      const haproxy = await startHaproxy({
        directory: join(directory, 'haproxy'),
        port,
        certAndKey,
        socketPath,
        isPrivileged,
      });
      life.defer('HAProxy', () => haproxy[Symbol.asyncDispose]());
    },
  };
}

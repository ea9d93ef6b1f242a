import { createReadStream, statSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join, normalize } from 'node:path';
import { openAuthority } from '../standin/server/authority.ts';

/** A mirror of releases on loopback, by HTTPS with a CA of its own, as an operator without internet has one. */
export class ReleaseMirror implements AsyncDisposable {
  readonly url: string;
  /** PEM of the CA that a machine has to trust. */
  readonly ca: string;
  /** Paths that were asked for and are there. */
  readonly served: string[] = [];
  readonly #server: Server;

  private constructor(server: Server, ca: string) {
    this.#server = server;
    this.ca = ca;
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  /** Serves the files of `directory`; `keys` is a directory for the CA. */
  static async of(directory: string, keys: string): Promise<ReleaseMirror> {
    const authority = await openAuthority(keys, 'mirror-ca');
    const names = ['127.0.0.1'];
    const { certificate, key } = await authority.issue({ commonName: 'mirror', usage: 'server', names });
    const server = createServer({ cert: certificate, key });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const mirror = new ReleaseMirror(server, authority.certificate);
    server.on('request', ({ url = '' }, response) => {
      const path = normalize(new URL(url, mirror.url).pathname);
      const file = join(directory, path);
      if (!statSync(file, { throwIfNoEntry: false })?.isFile()) {
        response.writeHead(404).end();
        return;
      }
      mirror.served.push(path);
      createReadStream(file).pipe(response);
    });
    return mirror;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

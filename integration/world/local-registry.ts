import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

interface Release {
  readonly manifest: { readonly name: string; readonly version: string };
  readonly tarball: Buffer;
}

/** An npm registry on loopback that has nothing but some tarballs. */
export class LocalRegistry implements AsyncDisposable {
  readonly url: string;
  /** Names of the packages whose tarballs were fetched. */
  readonly fetched = new Set<string>();
  readonly #server: Server;

  private constructor(server: Server, releases: ReadonlyMap<string, Release>) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', ({ url = '' }, response) => {
      const [, name = '', file] =
        /^\/((?:@[^/]+\/)?[^/]+)(?:\/-\/(.+))?$/.exec(decodeURIComponent(url)) ?? [];
      const release = releases.get(name);
      if (!release) response.writeHead(404).end('{"error":"not found"}');
      else if (file) {
        this.fetched.add(name);
        response.end(release.tarball);
      } else
        response.setHeader('content-type', 'application/json').end(JSON.stringify(this.#documentOf(release)));
    });
  }

  static async of(tarballs: readonly string[]): Promise<LocalRegistry> {
    const releases = new Map<string, Release>();
    for (const path of tarballs) {
      const text = execFileSync('tar', ['-xzOf', path, 'package/package.json'], { encoding: 'utf8' });
      const manifest = JSON.parse(text) as Release['manifest'];
      releases.set(manifest.name, { manifest, tarball: await readFile(path) });
    }
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new LocalRegistry(server, releases);
  }

  #documentOf({ manifest, tarball }: Release): object {
    const { name, version } = manifest;
    const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
    const dist = { integrity, tarball: `${this.url}/${name}/-/${version}.tgz` };
    return { name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

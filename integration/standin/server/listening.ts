import type { Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Lifetime } from '#base';

export interface ListeningOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The server and its connections end with it. */
  readonly lifetime: Lifetime;
}

/** Starts to listen; returns the port, rejects with the system's error when the address cannot be had. */
export async function listen(server: Server, { host, port, lifetime }: ListeningOptions): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  lifetime.defer('server', () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    return closed;
  });
  return (server.address() as AddressInfo).port;
}

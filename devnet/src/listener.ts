import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { DevnetError } from './errors.ts';

/** A client that uses an idle connection again must not find the server about to close it. */
const KEEP_ALIVE_MS = 600_000;
const MAX_CONNECTIONS = 4_096;

/**
 * Listens, and returns the URL and a function that closes the server with everything that is still connected: streams to
 * clients never end by themselves.
 */
export async function listen(
  server: Server,
  host: string,
  port: number,
): Promise<{ url: string; close: () => Promise<void> }> {
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.maxConnections = MAX_CONNECTIONS;
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      reject(
        new DevnetError(
          'DAAS_DEVNET_LISTEN',
          `the dev chain cannot listen on ${hostPort(host, port)}: choose another address or port`,
          { cause, details: { host, port } },
        ),
      );
    });
    server.listen(port, host, resolve);
  });
  const { address, port: actualPort } = server.address() as AddressInfo;
  return {
    url: `http://${hostPort(address, actualPort)}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** An IPv6 address has brackets around it in a URL (RFC 3986, section 3.2.2). */
function hostPort(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

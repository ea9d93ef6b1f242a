import { lstat, unlink } from 'node:fs/promises';
import type { Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { dirname } from 'node:path';
import { ConfigurationError, DaasError, hostPort } from '#base';
import { makeTrustedDirectory } from '#infrastructure';

type Where = { readonly host: string; readonly port: number } | { readonly path: string };

/**
 * Makes a directory for the gateway's own files. Others must not be able to write into it: they could put a state file or
 * a socket of their own in the place of the gateway's.
 * @throws `DAAS_GATEWAY_DIRECTORY_EXPOSED`.
 */
export function openDirectory(path: string, setting: string): void {
  makeTrustedDirectory(path, {
    what: 'the directory',
    origin: setting,
    code: 'DAAS_GATEWAY_DIRECTORY_EXPOSED',
  });
}

/**
 * Listens on a TCP port. Not through Fastify, which opens a second server for some hosts: nothing would guard that one.
 * @throws `DAAS_GATEWAY_LISTEN_FAILED`, naming the setting.
 */
export function listenOnPort(
  server: Server,
  where: { readonly host: string; readonly port: number },
  setting: string,
): Promise<void> {
  return named(() => listen(server, where), where, setting);
}

/**
 * Listens on the operator's Unix socket. Its mode is its lock; on Linux that of its directory is too.
 * @throws `DAAS_GATEWAY_SOCKET_BUSY`, `DAAS_GATEWAY_DIRECTORY_EXPOSED`, `DAAS_GATEWAY_LISTEN_FAILED`.
 */
export async function listenOnSocket(server: Server, path: string): Promise<void> {
  openDirectory(dirname(path), 'gateway.socketPath');
  if (await isAnswered(path))
    throw new DaasError(
      'DAAS_GATEWAY_SOCKET_BUSY',
      `a gateway answers on ${path} already: stop it, or give this one another gateway.socketPath`,
    );
  await removeStaleSocket(path);
  await named(() => listenPrivately(server, path), { path }, 'gateway.socketPath');
}

/** The port of a server that listens. */
export function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** An address to dial: "all interfaces" is not one. */
export function dialHost(host: string): string {
  return host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
}

/** Not by a later chmod: a client could connect in between. */
function listenPrivately(server: Server, path: string): Promise<void> {
  const umask = process.umask(0o177);
  try {
    // The socket is made within this call; the promise resolves later.
    return listen(server, { path });
  } finally {
    process.umask(umask);
  }
}

/** Removes the socket that a killed gateway left. Any other file there is left alone. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (!found) return;
  if (!found.isSocket())
    throw new ConfigurationError(
      'DAAS_GATEWAY_LISTEN_FAILED',
      `cannot listen on ${path} (gateway.socketPath): a file that is not a socket is in its place. Move it away, or choose another path`,
    );
  await unlink(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    // A busy gateway refuses too, with another code.
    probe.once('error', ({ code }: NodeJS.ErrnoException) => resolve(code === 'EAGAIN'));
  });
}

function listen(server: Server, where: Where): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(where, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function named(open: () => Promise<unknown>, where: Where, setting: string): Promise<void> {
  try {
    await open();
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_GATEWAY_LISTEN_FAILED',
      `cannot listen on ${'path' in where ? where.path : hostPort(where.host, where.port)} (${setting}): another process listens there, or the address is not one of this machine`,
      { cause },
    );
  }
}

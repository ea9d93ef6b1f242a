import { lstat, stat, unlink } from 'node:fs/promises';
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

/** A Unix socket to listen on. */
interface SocketPlace {
  readonly path: string;
  /** `gateway.socketPath` */
  readonly setting: string;
}

/**
 * Listens on a Unix socket for this user alone, such as the operator's. Its mode is its lock; on Linux that of its directory
 * is too.
 * @throws `DAAS_GATEWAY_SOCKET_BUSY`, `DAAS_GATEWAY_DIRECTORY_EXPOSED`, `DAAS_GATEWAY_LISTEN_FAILED`.
 */
export async function listenOnSocket(server: Server, place: SocketPlace): Promise<void> {
  await takeSocket(server, place, 0o600);
}

/**
 * Listens on a Unix socket for a proxy, whose connections are believed when they name a client's address. In a directory with
 * the setgid bit, whose group every file in it gets, the group may connect; anywhere else this user alone.
 * @throws as `listenOnSocket`; `DAAS_GATEWAY_SOCKET_EXPOSED` when others could connect.
 */
export async function listenForProxy(server: Server, place: SocketPlace): Promise<void> {
  const { path, setting } = place;
  openDirectory(dirname(path), setting);
  const directory = await stat(dirname(path));
  const isForGroup = (directory.mode & 0o2000) !== 0;
  await takeSocket(server, place, isForGroup ? 0o660 : 0o600);
  const { mode, uid, gid } = await lstat(path);
  const hasMode = (mode & 0o777) === (isForGroup ? 0o660 : 0o600);
  if (hasMode && uid === process.geteuid?.() && (!isForGroup || gid === directory.gid)) return;
  server.close();
  throw new ConfigurationError(
    'DAAS_GATEWAY_SOCKET_EXPOSED',
    `the socket ${path} (${setting}) was made with mode ${(mode & 0o777).toString(8)}, user ${uid} and group ${gid}, so others could connect and name any address: take access control lists off ${dirname(path)} (setfacl -b), or choose a directory on another file system`,
  );
}

async function takeSocket(server: Server, { path, setting }: SocketPlace, mode: number): Promise<void> {
  openDirectory(dirname(path), setting);
  if (await isAnswered(path))
    throw new DaasError(
      'DAAS_GATEWAY_SOCKET_BUSY',
      `a gateway answers on ${path} already: stop it, or give this one another ${setting}`,
    );
  await removeStaleSocket(path, setting);
  await named(() => listenWithMode(server, path, mode), { path }, setting);
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
function listenWithMode(server: Server, path: string, mode: number): Promise<void> {
  const umask = process.umask(0o777 & ~mode);
  try {
    // The socket is made within this call; the promise resolves later.
    return listen(server, { path });
  } finally {
    process.umask(umask);
  }
}

/** Removes the socket that a killed gateway left. Any other file there is left alone. */
async function removeStaleSocket(path: string, setting: string): Promise<void> {
  const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (!found) return;
  if (!found.isSocket())
    throw new ConfigurationError(
      'DAAS_GATEWAY_LISTEN_FAILED',
      `cannot listen on ${path} (${setting}): a file that is not a socket is in its place. Move it away, or choose another path`,
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

import { readFile } from 'node:fs/promises';
import { type Caller, callerOf } from '../standin/kubernetes-calls.ts';
import type { KeyPair } from '../standin/server/authority.ts';
import { clientCaOf, type RealK3s } from './real-k3s.ts';

export interface RealCallers {
  /** With all rights. */
  readonly admin: Caller;
  /** By a client certificate that k3s has issued. */
  readonly callerBy: (client: KeyPair) => Caller;
}

/** Callers of the API of a real k3s. */
export async function callersOf(k3s: RealK3s): Promise<RealCallers> {
  const to = { url: k3s.server, ca: await readFile(k3s.serverCaFile, 'utf8') };
  const organizations = ['system:masters'];
  const clientCa = await clientCaOf(k3s);
  const admin = await clientCa.issue({ commonName: 'tester', organizations, usage: 'client' });
  return { admin: callerOf(to, admin), callerBy: (client) => callerOf(to, client) };
}

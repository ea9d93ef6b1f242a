import { access, readFile, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * k3s tries an existing kubelet certificate before the join credential. If the Node is gone, the server answers 401, and k3s
 * repeats the request without a body for ever: it never tries the credential (measured on v1.36.2). So the certificate and
 * its key are moved aside for a join, and moved back if the join brings no new pair.
 */
export interface CertificateFacts {
  /** Which of client-kubelet.crt and .key exist. A host that was killed between two renames leaves one of them. */
  readonly inPlace: 'nothing' | 'half' | 'pair';
  /** Something was moved aside earlier. */
  readonly aside: boolean;
  /** The token file holds a credential that may still be accepted. */
  readonly hasLiveCredential: boolean;
  /** This start brings a credential that no start before it had. */
  readonly isFreshCredential: boolean;
  readonly lastStartReachedReady: boolean;
}

export type CertificatePlan = 'move-aside' | 'restore' | 'leave';

/**
 * Without a live credential the certificates stay in place, however the last start ended: they are all that k3s can
 * authenticate with.
 */
export function planCertificates(facts: CertificateFacts): CertificatePlan {
  if (!facts.hasLiveCredential) return facts.inPlace !== 'pair' && facts.aside ? 'restore' : 'leave';
  if (facts.inPlace === 'nothing') return 'leave';
  return facts.isFreshCredential || !facts.lastStartReachedReady ? 'move-aside' : 'leave';
}

const pair = ['client-kubelet.crt', 'client-kubelet.key'] as const;

/** The kubelet's client certificate below `<data-dir>/agent`. */
export function kubeletCertificate(dataDir: string): {
  facts(): Promise<Pick<CertificateFacts, 'inPlace' | 'aside'>>;
  carryOut(plan: CertificatePlan): Promise<void>;
  /** Removes the pair that was moved aside: the Node is Ready on the new one. */
  forgetAside(): Promise<void>;
} {
  const place = (name: string) => join(dataDir, 'agent', name);
  const aside = (name: string) => `${place(name)}.aside`;
  return {
    async facts() {
      const [inPlace, asideToo] = await Promise.all([
        Promise.all(pair.map((name) => exists(place(name)))),
        Promise.all(pair.map((name) => exists(aside(name)))),
      ]);
      return {
        inPlace: !inPlace.includes(true) ? 'nothing' : inPlace.includes(false) ? 'half' : 'pair',
        aside: asideToo.includes(true),
      };
    },
    async carryOut(plan) {
      if (plan === 'leave') return;
      for (const name of pair)
        await ifThere(() =>
          plan === 'restore' ? rename(aside(name), place(name)) : rename(place(name), aside(name)),
        );
    },
    async forgetAside() {
      for (const name of pair) await ifThere(() => unlink(aside(name)));
    },
  };
}

/** The files in which k3s keeps the identities of a node, below `<data-dir>/agent`. */
const clientFiles = ['client-kubelet.crt', 'client-kube-proxy.crt', 'client-k3s-controller.crt'] as const;

/** PEM of the client certificates that are there and written to their end. */
export async function readClientCertificates(dataDir: string): Promise<readonly string[]> {
  const texts = await Promise.all(
    clientFiles.map((name) => readFile(join(dataDir, 'agent', name), 'utf8').catch(() => '')),
  );
  return texts.filter((text) => /-----END CERTIFICATE-----\s*$/.test(text));
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

async function ifThere(act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

import { createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { readTrustedText, replaceFile, type TrustRules } from '#infrastructure';
import type { KubeletProof } from '#plugin';

/**
 * The client key of the kubelet, as far as the gateway knows its certificate. k3s writes a new pair at every start, before the
 * gateway has seen it: so the last pair that was shown is kept beside it, and proves to the gateway that this is the machine
 * that runs the node. It stays in the directory of k3s: a copy of the host's own state directory does not take it along.
 */
const keptFile = 'client-kubelet.shown.pem';
const rules: TrustRules = { what: 'a kubelet key' };

const place = (dataDir: string, name: string) => join(dataDir, 'agent', name);

/**
 * Keeps the kubelet's pair if its certificate is one of those (PEM) that the gateway has accepted. k3s may be writing a newer
 * one: that is kept when it has been shown, too.
 */
export async function keepShownKubelet(dataDir: string, shown: readonly string[]): Promise<void> {
  const [certificate, key] = await Promise.all([
    readTrustedText(place(dataDir, 'client-kubelet.crt'), rules),
    readTrustedText(place(dataDir, 'client-kubelet.key'), rules),
  ]);
  if (!shown.includes(certificate) || !isPair(certificate, key)) return;
  await replaceFile(place(dataDir, keptFile), `${new X509Certificate(certificate).toString()}${key}`);
}

/** Signs a text with the kept key, or with the one that k3s has now; undefined where there is neither. */
export async function proveKubelet(dataDir: string, text: string): Promise<KubeletProof | undefined> {
  const kept = await readTrustedText(place(dataDir, keptFile), rules).catch(() => undefined);
  if (kept !== undefined) return signed(kept, kept, text);
  const pair = ['client-kubelet.crt', 'client-kubelet.key'].map((name) =>
    readTrustedText(place(dataDir, name), rules),
  );
  const [certificate = '', key = ''] = await Promise.all(pair).catch((): string[] => []);
  return signed(certificate, key, text);
}

function signed(certificate: string, key: string, text: string): KubeletProof | undefined {
  try {
    return {
      certificate: new X509Certificate(certificate).toString(),
      signature: sign('sha256', Buffer.from(text), createPrivateKey(key)).toString('base64url'),
    };
  } catch {
    // Half-written, or of a kind that signs otherwise: the registration goes without it.
    return undefined;
  }
}

function isPair(certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { newCertificateRequest } from './certificate-request.ts';
import { logrus } from './log.ts';
import { type Ask, ask } from './request.ts';

/** A token in k3s' full or short form (pkg/clientaccess/token.go). */
export interface Token {
  readonly caHash: string;
  /** Only `[a-z0-9]{6}.[a-z0-9]{16}` travels as a Bearer; anything else is the password of user `node`. */
  readonly authorization: string;
}

export function parseToken(text: string): Token {
  if (text === '') throw new Error('token must not be empty');
  const full = /^K10([^:]*)::(.*)$/s.exec(text);
  const caHash = full?.[1] ?? '';
  if (caHash !== '' && caHash.length !== 64) throw new Error('invalid token CA hash length');
  const credential = full?.[2] ?? text;
  if (/^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(credential))
    return { caHash, authorization: `Bearer ${credential}` };
  const password = credential.includes(':') ? credential.slice(credential.indexOf(':') + 1) : credential;
  return { caHash, authorization: `Basic ${Buffer.from(`node:${password}`).toString('base64')}` };
}

/** Paths below `<data-dir>/agent`. */
export function agentFile(dataDir: string, name: string): string {
  return join(dataDir, 'agent', name);
}

export interface JoinRequest {
  /** https://127.0.0.1:<lb port> */
  readonly url: string;
  readonly token: Token;
  readonly dataDir: string;
  readonly nodeName: string;
  readonly nodeIp: string;
  readonly passwordFile: string;
}

/**
 * Fetches /cacerts three times, as k3s does: trusted by the system (usually in vain; if not, the hash is not looked at),
 * without any check, and checked against what came. Returns the CA bundle.
 */
export async function fetchClusterCa(url: string, token: Token): Promise<string> {
  const cacerts = `${url}/cacerts`;
  try {
    const { status, body } = await ask({ url: cacerts });
    if (status === 200) {
      if (token.caHash !== '')
        logrus(
          'warning',
          'Cluster CA certificate is trusted by the host CA bundle. Token CA hash will not be validated.',
        );
      return body.toString();
    }
  } catch {
    // What an unknown CA looks like; the next request asks without a check.
  }
  const bundle = (await ask({ url: cacerts, isInsecure: true })).body;
  const validated = await ask({ url: cacerts, ca: bundle.toString() });
  if (validated.status !== 200) throw new Error(`failed to get CA certs: ${validated.status}`);
  const actual = createHash('sha256').update(bundle).digest('hex');
  if (token.caHash === '')
    logrus(
      'warning',
      "Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. Use the full token from the server's node-token file to enable Cluster CA validation.",
    );
  else if (token.caHash !== actual)
    throw new Error(
      `token CA hash does not match the Cluster CA certificate hash: ${token.caHash} != ${actual}`,
    );
  return bundle.toString();
}

/** Steps 2 to 6 of a join: one unit, which fails and is retried as a whole. Returns the CA that was written. */
export async function retrieveAgentConfiguration(request: JoinRequest): Promise<void> {
  const { url, token, dataDir } = request;
  const ca = await fetchClusterCa(url, token);
  const kubelet = oldKubeletCertificate(dataDir);
  const common: Omit<Ask, 'url'> = { ca, headers: { authorization: token.authorization }, ...kubelet };

  const config = await ask({ ...common, url: `${url}/v1-k3s/config` });
  if (config.status !== 200)
    throw new Error(`failed to retrieve configuration from server: ${refusal(config.status, config.body)}`);

  mkdirSync(agentFile(dataDir, ''), { recursive: true, mode: 0o700 });
  chmodSync(agentFile(dataDir, ''), 0o700);
  for (const name of ['client-ca.crt', 'server-ca.crt']) {
    const { status, body } = await ask({ ...common, url: `${url}/v1-k3s/${name}` });
    if (status !== 200) throw new Error(`${name}: ${refusal(status, body)}`);
    writePrivate(agentFile(dataDir, name), body);
  }

  const node = {
    'k3s-Node-Name': request.nodeName,
    'k3s-Node-Password': nodePassword(request.passwordFile),
    'k3s-Node-IP': request.nodeIp,
  };
  for (const [name, headers] of [
    ['serving-kubelet', node],
    ['client-kubelet', node],
    ['client-kube-proxy', {}],
    ['client-k3s-controller', {}],
  ] as const)
    await obtainCertificate(request, common, name, headers);
  writeKubeconfigs(dataDir, url);
}

async function obtainCertificate(
  { url, dataDir }: JoinRequest,
  common: Omit<Ask, 'url'>,
  name: string,
  headers: Record<string, string>,
): Promise<void> {
  const { der, keyPem } = newCertificateRequest();
  const path = `/v1-k3s/${name}.crt`;
  const { status, body } = await ask({
    ...common,
    method: 'POST',
    url: `${url}${path}`,
    headers: { ...common.headers, ...headers, 'content-type': 'application/octet-stream' },
    body: der,
  });
  if (status === 401 && common.cert && 'k3s-Node-Name' in headers) {
    logrus('info', 'Node authorization rejected, retrying without client certificate authentication');
    // k3s sends the same request again, whose body it has read to the end already: this never works (measured).
    throw new Error(`Post "${url}${path}": http: ContentLength=${der.length} with Body length 0`);
  }
  if (status === 403 && 'k3s-Node-Name' in headers)
    throw new Error(
      "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag",
    );
  if (status !== 200) throw new Error(`${path}: ${refusal(status, body)}`);
  writePrivate(agentFile(dataDir, `${name}.crt`), body);
  writePrivate(agentFile(dataDir, `${name}.key`), keyPem);
}

function refusal(status: number, body: Buffer): string {
  if (status === 401 && body.length === 0) return 'not authorized';
  try {
    const { message } = JSON.parse(body.toString()) as { message?: string };
    if (message) return message;
  } catch {
    // Not a Status object: the text itself is the message.
  }
  const text = body.toString().trim();
  return text === '' ? `https response status ${status}` : text;
}

/** An agent shows the certificate it has together with the token; the token alone is for an agent without one. */
function oldKubeletCertificate(dataDir: string): { cert: string; key: string } | undefined {
  const [cert, key] = ['client-kubelet.crt', 'client-kubelet.key'].map((name) => agentFile(dataDir, name));
  if (!cert || !key || !existsSync(cert) || !existsSync(key)) return undefined;
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') };
}

function nodePassword(path: string): string {
  if (!existsSync(path)) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    writePrivate(path, `${randomBytes(16).toString('hex')}\n`);
  }
  return readFileSync(path, 'utf8').trim();
}

function writeKubeconfigs(dataDir: string, server: string): void {
  for (const [file, certificate] of [
    ['kubelet.kubeconfig', 'client-kubelet'],
    ['kubeproxy.kubeconfig', 'client-kube-proxy'],
    ['k3scontroller.kubeconfig', 'client-k3s-controller'],
  ] as const)
    writePrivate(
      agentFile(dataDir, file),
      `apiVersion: v1
clusters:
- cluster:
    server: ${server}
    certificate-authority: ${agentFile(dataDir, 'server-ca.crt')}
  name: local
contexts:
- context:
    cluster: local
    namespace: default
    user: user
  name: Default
current-context: Default
kind: Config
preferences: {}
users:
- name: user
  user:
    client-certificate: ${agentFile(dataDir, `${certificate}.crt`)}
    client-key: ${agentFile(dataDir, `${certificate}.key`)}
`,
    );
}

function writePrivate(path: string, content: string | Uint8Array): void {
  writeFileSync(path, content, { mode: 0o600 });
  chmodSync(path, 0o600);
}

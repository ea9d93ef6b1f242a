// @peculiar/x509 resolves its parts through tsyringe, which asks for this polyfill first.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { request as httpsRequest } from 'node:https';
import * as x509 from '@peculiar/x509';
import { type KeyPair, privateKeyPem } from './authority.ts';
import { kubeconfigText } from './kubeconfig.ts';

/** One HTTPS request as a program without any library of Kubernetes makes it. */
export interface PlainRequest {
  readonly url: string;
  readonly method?: string;
  readonly ca?: string;
  readonly client?: KeyPair | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}
export interface PlainResponse {
  readonly status: number;
  readonly text: string;
}

export function send({
  url,
  method = 'GET',
  ca,
  client,
  headers = {},
  body,
}: PlainRequest): Promise<PlainResponse> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      url,
      {
        method,
        // Node gives a DELETE with a body no length of its own.
        headers: { ...headers, ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }) },
        agent: false,
        timeout: 15_000,
        ...(ca === undefined ? { rejectUnauthorized: false } : { ca }),
        ...(client ? { cert: client.certificate, key: client.key } : {}),
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.once('error', reject);
        response.once('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }),
        );
      },
    );
    request.once('timeout', () => request.destroy(new Error(`no answer from ${url}`)));
    request.once('error', reject);
    request.end(body);
  });
}

/** How somebody proves to the supervisor who they are. */
export interface WorkerCredentials {
  readonly url: string;
  readonly ca: string;
  /** `id.secret`, sent as Bearer. */
  readonly bearer?: string;
  readonly client?: KeyPair | undefined;
}

export const supervisorGet = (
  { url, ca, bearer, client }: WorkerCredentials,
  path: string,
): Promise<PlainResponse> =>
  send({ url: url + path, ca, client, headers: bearer ? { authorization: `Bearer ${bearer}` } : {} });

/** Asks the supervisor for a certificate as an agent does: a request in DER, name and password in headers. */
export async function requestCertificate(
  credentials: WorkerCredentials,
  path: string,
  node?: { readonly name: string; readonly password: string },
): Promise<PlainResponse & { readonly pair: KeyPair | undefined }> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ keys, signingAlgorithm: algorithm });
  const { url, ca, bearer, client } = credentials;
  const response = await send({
    url: url + path,
    method: 'POST',
    ca,
    client,
    body: new Uint8Array(csr.rawData),
    headers: {
      ...(bearer ? { authorization: `Bearer ${bearer}` } : {}),
      ...(node
        ? { 'k3s-node-name': node.name, 'k3s-node-password': node.password, 'k3s-node-ip': '127.0.0.1' }
        : {}),
    },
  });
  const pair =
    response.status === 200
      ? { certificate: response.text, key: await privateKeyPem(keys.privateKey) }
      : undefined;
  return { ...response, pair };
}

/** Kubeconfig text of a certificate that `requestCertificate` got. */
export const workerKubeconfig = (url: string, ca: string, pair: KeyPair): string =>
  kubeconfigText(url, ca, pair);

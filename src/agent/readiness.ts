import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { parse } from 'yaml';
import { messageOf } from '#base';
import { readBody, readTrustedText } from '#infrastructure';

export type Readiness =
  | { readonly isReady: true }
  /** What is missing, for the log and the message of the join deadline. */
  | {
      readonly isReady: false;
      readonly detail: string;
      /** The server answered: there is no such Node, or it does not accept the kubelet's certificate. */
      readonly isNodeRefused: boolean;
    };

export interface ReadinessTarget {
  readonly healthzUrl: string;
  readonly dataDir: string;
  readonly nodeId: string;
}

const timeoutMs = 3000;
/** A Node with many images and volumes has about ten kilobytes; etcd stores at most 1.5 MiB. */
const longestReplyBytes = 2 * 1024 * 1024;

/**
 * Ready means both: the kubelet of this machine is healthy, and the Node is Ready in the cluster. The first alone is true while
 * the Node is refused; the second alone stays true for 40 s after the agent has ended.
 */
export async function probeReadiness(target: ReadinessTarget, signal: AbortSignal): Promise<Readiness> {
  try {
    const health = await fetchText({ url: target.healthzUrl }, signal);
    if (health.status !== 200) return notYet(`the kubelet's health check answers ${health.status}`);
  } catch (error) {
    return notYet(`the kubelet does not answer at ${target.healthzUrl}: ${messageOf(error)}`);
  }
  try {
    return await probeNode(target, signal);
  } catch (error) {
    return notYet(`the Node cannot be read: ${messageOf(error)}`);
  }
}

async function probeNode(target: ReadinessTarget, signal: AbortSignal): Promise<Readiness> {
  const { status, body } = await readOwnNode(target, signal);
  if (status === 404) return notYet('the Node is not registered yet', { isNodeRefused: true });
  if (status !== 200)
    return notYet(`the API server answers ${status} to the kubelet's certificate`, {
      isNodeRefused: status === 401 || status === 403,
    });
  return nodeReadiness(JSON.parse(body));
}

/**
 * Reads the Node as the kubelet does: with its certificate, through the agent's own load balancer. Throws when there is no
 * certificate, or nothing answers.
 */
export async function readOwnNode(
  { dataDir, nodeId }: Pick<ReadinessTarget, 'dataDir' | 'nodeId'>,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: string }> {
  const access = await readKubeconfig(join(dataDir, 'agent', 'kubelet.kubeconfig'));
  return fetchText({ ...access, url: `${access.server}/api/v1/nodes/${encodeURIComponent(nodeId)}` }, signal);
}

/** The condition Ready of a Node (core/v1 NodeStatus). */
export function nodeReadiness(node: unknown): Readiness {
  const { status } = node as {
    status?: { conditions?: Array<{ type?: string; status?: string; message?: string }> };
  };
  const ready = status?.conditions?.find(({ type }) => type === 'Ready');
  if (ready?.status === 'True') return { isReady: true };
  return notYet(
    ready
      ? `the Node is not Ready: ${ready.message ?? 'no reason given'}`
      : 'the Node has no condition Ready yet',
  );
}

function notYet(detail: string, { isNodeRefused = false } = {}): Readiness {
  return { isReady: false, detail, isNodeRefused };
}

interface ClusterAccess {
  readonly server: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

/** k3s writes kubeconfigs with one cluster and one user whose certificates are files. */
async function readKubeconfig(path: string): Promise<ClusterAccess> {
  const document = parse(await readTrustedText(path, { what: 'the kubeconfig of the kubelet' }), {
    prettyErrors: false,
  }) as {
    clusters?: Array<{ cluster?: Record<string, string> }>;
    users?: Array<{ user?: Record<string, string> }>;
  } | null;
  const cluster = document?.clusters?.[0]?.cluster;
  const user = document?.users?.[0]?.user;
  const files = [cluster?.['certificate-authority'], user?.['client-certificate'], user?.['client-key']];
  if (cluster?.server === undefined || files.includes(undefined))
    throw new Error(`${path} names no server or no certificate files`);
  const [ca = '', cert = '', key = ''] = await Promise.all(
    files.map((file) => readTrustedText(file as string, { what: 'a file of the kubelet', origin: path })),
  );
  return { server: cluster.server, ca, cert, key };
}

interface TextRequest {
  readonly url: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

function fetchText(
  { url, ...tls }: TextRequest,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: string }> {
  const send = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const request = send(
      url,
      // Connections are not reused: certificates and ports change with every start of the agent.
      { ...tls, agent: false, signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]) },
      (response) => {
        readBody(response, longestReplyBytes).then(
          (body) => resolve({ status: response.statusCode ?? 0, body: body.toString('utf8') }),
          reject,
        );
      },
    );
    request.on('error', reject);
    request.end();
  });
}

import { spawn } from 'node:child_process';
import { ConfigurationError, DaasError, membersOf } from '#base';

/** Which cluster and user `kubectl` is to take. */
export interface KubectlOptions {
  readonly context?: string;
  readonly kubeconfig?: string;
}

/** A login as the API server sees it (`kubectl auth whoami`). */
export interface SealLogin {
  readonly wallet: string;
  readonly recordId: string;
  readonly tier: string;
  readonly permissions: readonly string[];
  /** How long a slash takes to end it, at most. */
  readonly revokedWithin: string;
}

/**
 * What `kubectl ARGS -o json` prints: it knows the kubeconfig, its plugins and proxies. `undefined` where the API server has no
 * such resource or object.
 * @throws `DAAS_KUBECTL_MISSING`, `DAAS_KUBECTL_FAILED`.
 */
export async function askKubectl(
  args: readonly string[],
  { context, kubeconfig }: KubectlOptions,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  const which = [
    ...(context === undefined ? [] : [`--context=${context}`]),
    ...(kubeconfig === undefined ? [] : [`--kubeconfig=${kubeconfig}`]),
  ];
  const { code, stdout, stderr } = await run('kubectl', [...args, '-o', 'json', ...which]);
  if (code === 0) return membersOf(parsed(stdout, args));
  if (/doesn't have a resource type|\(NotFound\)/.test(stderr)) return undefined;
  const why = stderr.trim().split('\n').at(-1) ?? '';
  throw new DaasError('DAAS_KUBECTL_FAILED', `kubectl ${args.join(' ')} failed: ${why}`, {
    details: { code },
  });
}

function parsed(stdout: string, args: readonly string[]): unknown {
  try {
    return JSON.parse(stdout);
  } catch (cause) {
    throw new DaasError('DAAS_KUBECTL_FAILED', `kubectl ${args.join(' ')} printed something else than JSON`, {
      cause,
    });
  }
}

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, args: readonly string[]): Promise<Ended> {
  const { promise, resolve, reject } = Promise.withResolvers<Ended>();
  const child = spawn(program, args, { stdio: ['inherit', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.once('error', (cause) =>
    reject(
      new ConfigurationError(
        'DAAS_KUBECTL_MISSING',
        'kubectl cannot be run: install it, and put it on PATH (https://kubernetes.io/docs/tasks/tools/)',
        { cause },
      ),
    ),
  );
  child.once('close', (code) => resolve({ code, stdout, stderr }));
  return promise;
}

/** @throws `DAAS_KUBECTL_NOT_SEAL` for a login of another kind. */
export async function readLogin(options: KubectlOptions): Promise<SealLogin> {
  const review = membersOf((await askKubectl(['auth', 'whoami'], options))?.status);
  const { username, groups, extra } = membersOf(review.userInfo);
  const name = typeof username === 'string' ? username : '';
  if (!name.startsWith('seal:'))
    throw new ConfigurationError(
      'DAAS_KUBECTL_NOT_SEAL',
      `the user of this context is ${name || 'unknown'}, not one who logs in by a Seal token: choose another with --context, or write one with 'k3s-daas kubeconfig'`,
    );
  const all = Array.isArray(groups) ? groups.filter((group) => typeof group === 'string') : [];
  const more = membersOf(extra);
  const first = (key: string) => {
    const value = more[`k3s-daas.io/${key}`];
    return Array.isArray(value) && typeof value[0] === 'string' ? value[0] : '';
  };
  const head = 'seal:perm:';
  return {
    wallet: name.slice('seal:'.length),
    recordId: first('stake-record'),
    tier: first('tier'),
    permissions: all.filter((group) => group.startsWith(head)).map((group) => group.slice(head.length)),
    revokedWithin: first('revoked-within'),
  };
}

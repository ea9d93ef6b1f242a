import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { mergeKubeconfig, type PersonAccess, personKubeconfig } from './person-kubeconfig.ts';

const access: PersonAccess = {
  name: 'k3s-daas-cccccccc',
  server: 'https://k3s.example:6443',
  serverCa: 'PEM',
  namespace: 'seal-1',
  chainId: 'chain',
  clusterId: '0xcc',
  command: '/usr/local/bin/k3s-daas',
  args: ['credential', '--login', '/home/me/login.json'],
  mayAsk: false,
};
const target = { file: '/home/me/.kube/config', use: false };

interface Kubeconfig {
  readonly 'current-context': string;
  readonly clusters: ReadonlyArray<{ readonly name: string; readonly cluster: Record<string, unknown> }>;
  readonly users: ReadonlyArray<{
    readonly name: string;
    readonly user: { readonly exec: Record<string, unknown> };
  }>;
  readonly contexts: ReadonlyArray<{ readonly name: string; readonly context: Record<string, unknown> }>;
}
const read = (text: string) => parse(text) as Kubeconfig;

describe('the kubeconfig of a person', () => {
  test('runs the program by its absolute path, never asks, and tells it which cluster it is for', () => {
    const { clusters, users, contexts, ...rest } = read(personKubeconfig(access));
    expect(rest).toMatchObject({ kind: 'Config', 'current-context': access.name });
    expect(clusters[0]?.cluster).toEqual({
      server: access.server,
      'certificate-authority-data': Buffer.from('PEM').toString('base64'),
      extensions: [
        {
          name: 'client.authentication.k8s.io/exec',
          extension: { chainId: 'chain', clusterId: '0xcc' },
        },
      ],
    });
    expect(users[0]?.user.exec).toMatchObject({
      apiVersion: 'client.authentication.k8s.io/v1',
      command: '/usr/local/bin/k3s-daas',
      args: access.args,
      interactiveMode: 'Never',
      provideClusterInfo: true,
      installHint: expect.stringContaining('install k3s-daas') as string,
    });
    expect(contexts[0]?.context).toEqual({ cluster: access.name, user: access.name, namespace: 'seal-1' });
  });

  const existing = `# mine
apiVersion: v1
kind: Config
current-context: work
clusters:
  - name: work
    cluster: {server: https://work.example:6443}
users: # of work
  - name: work
    user: {token: abc}
contexts:
  - name: work
    context: {cluster: work, user: work}
`;

  test('goes beside what is there: entries, comments and current context of others stay', () => {
    const merged = mergeKubeconfig(existing, access, target);
    expect(merged).toContain('# mine');
    expect(merged).toContain('# of work');
    const config = read(merged);
    expect(config['current-context']).toBe('work');
    for (const list of [config.clusters, config.users, config.contexts])
      expect(list.map(({ name }) => name)).toEqual(['work', access.name]);
  });

  test('replaces its own entries, and becomes the current context when asked', () => {
    const once = mergeKubeconfig(existing, access, target);
    const moved = { ...access, server: 'https://other.example:6443' };
    const config = read(mergeKubeconfig(once, moved, { ...target, use: true }));
    expect(config.clusters).toHaveLength(2);
    expect(config.clusters[1]?.cluster.server).toBe('https://other.example:6443');
    expect(config['current-context']).toBe(access.name);
  });

  test.each([
    ['empty', ''],
    ['a comment', '# nothing yet\n'],
    ['a Config without entries', 'apiVersion: v1\nkind: Config\nclusters: []\nusers: null\n'],
  ])('an existing file that is %s gets all of it', (_name, text) => {
    const config = read(mergeKubeconfig(text, access, target));
    expect(config['current-context']).toBe(access.name);
    expect(config.users.map(({ name }) => name)).toEqual([access.name]);
  });

  test.each([
    ['text', 'hello'],
    ['a list', '- a\n'],
    ['another kind', 'kind: Secret\n'],
    ['broken', 'a: [b\n'],
    ['one with an empty entry', 'kind: Config\nusers:\n  -\n  - name: work\n'],
    ['one with an entry without a name', 'kind: Config\nclusters: [{cluster: {}}]\n'],
    ['one whose list is a mapping', 'kind: Config\ncontexts: {name: work}\n'],
    ['one with an alias for a list', 'kind: Config\nclusters: &all [{name: a}]\nusers: *all\n'],
    ['one with an alias of nothing', 'kind: Config\nusers: *nobody\n'],
    [
      'one whose aliases grow without end',
      `kind: Config\na: &a [x, x]\n${'bcdefghi'.replaceAll(/./g, (name) => `${name}: &${name} [${`*${String.fromCharCode(name.charCodeAt(0) - 1)},`.repeat(9)}]\n`)}`,
    ],
  ])('an existing file that is %s is left alone', (_name, text) => {
    expect(() => mergeKubeconfig(text, access, target)).toThrow(
      expect.objectContaining({
        code: 'DAAS_KUBECONFIG_INVALID',
        message: expect.stringContaining(target.file) as string,
      }),
    );
  });

  test('an alias within an entry stays one', () => {
    const text = 'kind: Config\nusers:\n  - name: a\n    user: &me {token: t}\n  - name: b\n    user: *me\n';
    const merged = mergeKubeconfig(text, access, target);
    expect(merged).toContain('user: *me');
    expect(read(merged).users.map(({ name }) => name)).toEqual(['a', 'b', access.name]);
  });
});

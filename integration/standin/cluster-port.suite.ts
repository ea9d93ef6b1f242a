import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { namespaceOfName, openKubernetes, setupCluster } from '#cluster';
import { suiteWorld } from '../suite-world.ts';
import { admin, cluster, drawRecord, pods, secrets, setup, world } from './cluster-port-world.ts';
import { callerOf, eventually, merge, nodeBody, podBody, uniqueName } from './kubernetes-calls.ts';
import { hashNodePassword } from './server/node-password.ts';

/**
 * The other methods of `KubernetesPort`, called with the gateway's own identity as `setup` makes it: what passes here passes
 * with its least rights.
 */
describe.skipIf(suiteWorld.isMissing)(`KubernetesPort on ${suiteWorld.name}`, () => {
  describe('setup', () => {
    test('lists the names that are there or are given, and says so before it does', async () => {
      for (const what of [
        'was-here-before as ordinary',
        'coming-server as expected',
        'absent-server as reserved',
      ])
        expect(setup.changes).toContainEqual(expect.objectContaining({ action: 'list', what }));
      const names = await cluster.admittedNames();
      expect(names.get('was-here-before')).toBe('ordinary');
      expect(names.get('coming-server')).toBe('expected');
      expect(names.get('absent-server')).toBe('reserved');
    });

    test('run again, it finds nothing to do; with check it changes nothing', async () => {
      const kubeconfig = { path: world.adminKubeconfigPath };
      const again = { kubeconfig, ordinaryNames: ['coming-server'], reservedNames: ['absent-server'] };
      expect((await setupCluster(again)).changes).toEqual([]);
      await admin('DELETE', '/apis/rbac.authorization.k8s.io/v1/clusterroles/k3s-daas-gateway');
      const planned = await setupCluster({ ...again, check: true });
      expect(planned).toMatchObject({
        changes: [{ action: 'create', what: 'ClusterRole k3s-daas-gateway' }],
        kubeconfig: undefined,
      });
      expect((await setupCluster(again)).changes).toEqual(planned.changes);
    });

    test('mends a policy that somebody weakened, and until then the state says so', async () => {
      expect(await cluster.policyState()).toEqual({ kind: 'in-place' });
      const path =
        '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/k3s-daas-node-marks';
      await admin('DELETE', path);
      expect(await cluster.policyState()).toEqual({
        kind: 'not-in-place',
        problems: ['the ValidatingAdmissionPolicyBinding k3s-daas-node-marks is missing'],
      });
      await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
      expect(await cluster.policyState()).toEqual({ kind: 'in-place' });
    });

    test('a Node on its way out does not become an ordinary one', async () => {
      const node = uniqueName('leaving');
      const taints = [{ key: 'k3s-daas.io/staked', value: 'basic', effect: 'NoSchedule' }];
      await admin('POST', '/api/v1/nodes', nodeBody(node, { spec: { taints } }));
      const { changes } = await setupCluster({ kubeconfig: { path: world.adminKubeconfigPath } });
      expect(changes).toEqual([]);
      expect((await cluster.admittedNames()).has(node)).toBe(false);
      await admin('DELETE', `/api/v1/nodes/${node}`);
    });
  });

  describe('node passwords', () => {
    test('a reservation replaces what was there, is marked as ours, and has the form that k3s reads', async () => {
      const [nodeId, recordId] = [uniqueName('reserved'), drawRecord()];
      expect(await cluster.nodePassword(nodeId)).toBeUndefined();
      // Somebody came first, as k3s would write it.
      const hash = await hashNodePassword('theirs');
      await admin('POST', secrets, {
        metadata: { name: `${nodeId}.node-password.k3s` },
        type: 'k3s.cattle.io/node-password',
        immutable: true,
        stringData: { hash },
      });
      expect(await cluster.nodePassword(nodeId)).toEqual({ nodeId, recordId: undefined, hash });
      await cluster.releaseNodePassword(nodeId);
      expect(await cluster.nodePassword(nodeId)).toMatchObject({ hash });

      for (const ours of ['first', 'second']) {
        await cluster.reserveNodePassword({ nodeId, recordId, hash: ours });
        expect(await cluster.nodePassword(nodeId)).toEqual({ nodeId, recordId, hash: ours });
      }
      const { object } = await admin('GET', `${secrets}/${nodeId}.node-password.k3s`);
      expect(object).toMatchObject({ type: 'k3s.cattle.io/node-password', immutable: true });
      await cluster.releaseNodePassword(nodeId);
      expect(await cluster.nodePassword(nodeId)).toBeUndefined();
      await cluster.releaseNodePassword(nodeId);
    });

    test('those that are not ours are reported: the list, then what comes and goes', async () => {
      const [before, later, ours] = [uniqueName('before'), uniqueName('later'), uniqueName('ours')];
      const claim = (nodeId: string) =>
        admin('POST', secrets, {
          metadata: { name: `${nodeId}.node-password.k3s` },
          type: 'k3s.cattle.io/node-password',
          stringData: { hash: 'theirs' },
        });
      await claim(before);
      await cluster.reserveNodePassword({ nodeId: ours, recordId: drawRecord(), hash: 'ours' });
      const seen: string[] = [];
      const stop = new AbortController();
      const watching = cluster.watchForeignPasswords((change) => {
        if (change.kind === 'unwatched') return;
        const passwords = change.kind === 'listed' ? change.passwords : [change.password];
        seen.push(...passwords.map(({ nodeId }) => `${change.kind} ${nodeId}`));
      }, stop.signal);
      const until = (line: string) => eventually(line, 10_000, async () => seen.includes(line), Boolean);
      await until(`listed ${before}`);
      await claim(later);
      await until(`added ${later}`);
      await admin('DELETE', `${secrets}/${later}.node-password.k3s`);
      await until(`deleted ${later}`);
      expect(seen.filter((line) => line.endsWith(ours))).toEqual([]);
      stop.abort();
      await watching;
      await admin('DELETE', `${secrets}/${before}.node-password.k3s`);
      await cluster.releaseNodePassword(ours);
    });

    test('a mark that names another node or no record is nobody’s', async () => {
      const [nodeId, victim, recordId] = [uniqueName('copy'), uniqueName('victim'), drawRecord()];
      await cluster.reserveNodePassword({ nodeId: victim, recordId, hash: 'x' });
      const { object } = await admin('GET', `${secrets}/${victim}.node-password.k3s`);
      await admin('POST', secrets, {
        metadata: { name: `${nodeId}.node-password.k3s`, labels: object.metadata.labels },
        type: 'k3s.cattle.io/node-password',
        stringData: { hash: 'y' },
      });
      expect(await cluster.nodePassword(nodeId)).toMatchObject({ recordId: undefined, hash: 'y' });
      await admin('DELETE', `${secrets}/${nodeId}.node-password.k3s`);
      await cluster.releaseNodePassword(victim);
    });

    test('an admitted name is taken off the list before its old password goes', async () => {
      const [nodeId, recordId] = [uniqueName('ordered'), drawRecord()];
      await cluster.reserveNodePassword({ nodeId, recordId, hash: 'one' });
      await cluster.admitName({ nodeId, tier: 'basic' });
      const reserved = cluster.reserveNodePassword({ nodeId, recordId, hash: 'two' });
      await eventually(
        'the name is off the list',
        10_000,
        () => cluster.admittedName(nodeId),
        (listing) => listing === undefined,
      );
      // A second passes before the password goes.
      expect(await cluster.nodePassword(nodeId)).toMatchObject({ hash: 'one' });
      await reserved;
      expect(await cluster.admittedName(nodeId)).toBeUndefined();
      expect(await cluster.nodePassword(nodeId)).toMatchObject({ hash: 'two' });
      await cluster.releaseNodePassword(nodeId);
    });
  });

  describe('admitted names', () => {
    test('many at once lose none', async () => {
      const names = Array.from({ length: 12 }, () => uniqueName('many'));
      await Promise.all(names.map((nodeId) => cluster.admitName({ nodeId, tier: 'premium' })));
      const admitted = await cluster.admittedNames();
      for (const nodeId of names) expect(admitted.get(nodeId)).toBe('premium');
      const [first = '', ...rest] = names;
      await cluster.admitName({ nodeId: first, tier: 'basic' });
      await cluster.admitName({ nodeId: first, tier: 'basic' });
      await Promise.all(rest.map((nodeId) => cluster.removeName(nodeId)));
      await cluster.removeName(rest[0] ?? '');
      const left = await cluster.admittedNames();
      expect(left.get(first)).toBe('basic');
      for (const nodeId of rest) expect(left.has(nodeId)).toBe(false);
      await cluster.removeName(first);
    });

    test.each([
      ['was-here-before', 'ordinary'],
      ['coming-server', 'expected'],
      ['absent-server', 'reserved'],
    ])('%s, listed as %s, can be neither taken, freed nor reserved for a stake', async (nodeId, listing) => {
      const reserved = { code: 'DAAS_NAME_RESERVED' };
      await expect(cluster.admitName({ nodeId, tier: 'basic' })).rejects.toMatchObject(reserved);
      await expect(cluster.removeName(nodeId)).rejects.toMatchObject(reserved);
      const request = { nodeId, recordId: drawRecord(), hash: 'x' };
      await expect(cluster.reserveNodePassword(request)).rejects.toMatchObject(reserved);
      expect((await cluster.admittedNames()).get(nodeId)).toBe(listing);
      expect(await cluster.nodePassword(nodeId)).toBeUndefined();
    });

    test('a name is relisted from what it is listed as, and from nothing else', async () => {
      const name = uniqueName('relisted');
      const kubeconfig = { path: world.adminKubeconfigPath };
      await setupCluster({ kubeconfig, ordinaryNames: [name] });
      const reserve = (from: string) => cluster.relistName({ name, from, to: 'reserved' });
      expect(await reserve('ordinary')).toBe(false);
      expect((await cluster.admittedNames()).get(name)).toBe('expected');
      expect(await reserve('expected')).toBe(true);
      expect((await cluster.admittedNames()).get(name)).toBe('reserved');
      expect((await setupCluster({ kubeconfig })).changes).toEqual([]);
      expect(
        await cluster.relistName({ name: uniqueName('unlisted'), from: 'ordinary', to: 'reserved' }),
      ).toBe(false);
    });
  });

  describe('addresses of the operator’s Nodes', () => {
    const role =
      '/apis/rbac.authorization.k8s.io/v1/namespaces/k3s-daas-names-0/roles/k3s-daas:operators-addresses';
    const listed = async () => {
      const { object } = await admin('GET', role);
      const [rule] = (object.rules ?? []) as Array<{ resourceNames?: string[] }>;
      return { names: rule?.resourceNames, version: object.metadata.resourceVersion };
    };

    test('the list that is given takes the place of the one before, is written when it differs, and is no name', async () => {
      await cluster.holdAddresses(['192.0.2.1', '2001:db8::1']);
      const first = await listed();
      expect(first.names).toEqual(['192.0.2.1', '2001:db8::1']);
      await cluster.holdAddresses(['2001:db8::1', '192.0.2.1']);
      expect(await listed()).toEqual(first);
      await cluster.holdAddresses(['192.0.2.2']);
      expect((await listed()).names).toEqual(['192.0.2.2']);
      // What a gateway that led before has under way names an earlier version.
      const before = await listed();
      await cluster.renewNames();
      expect(await listed()).toMatchObject({ names: before.names });
      expect((await listed()).version).not.toBe(before.version);
      // A rule without names would hold for every address.
      await cluster.holdAddresses([]);
      expect((await admin('GET', role)).object.rules ?? []).toEqual([]);
      expect([...(await cluster.admittedNames()).keys()].filter((name) => name.includes(':'))).toEqual([]);
    });
  });

  describe('join credentials', () => {
    test('one is good until it is revoked; it is listed with node and record, its secret nowhere', async () => {
      const [nodeId, recordId] = [uniqueName('joins'), drawRecord()];
      const expiresAtMs = Date.now() + 90_500;
      const issued = await cluster.createJoinCredential({ nodeId, recordId, expiresAtMs });
      expect(issued.expiresAtMs).toBeLessThanOrEqual(expiresAtMs);
      expect(issued.expiresAtMs % 1_000).toBe(0);
      expect(issued.credential.reveal()).toMatch(new RegExp(`^${issued.id}\\.[a-z0-9]{16}$`));
      expect(JSON.stringify(issued)).not.toContain(issued.credential.reveal());
      const joiner = callerOf(world, undefined, { authorization: `Bearer ${issued.credential.reveal()}` });
      const knows = (status: number) =>
        eventually(
          `status ${status}`,
          15_000,
          () => joiner('GET', '/api/v1/nodes'),
          (answer) => answer.status === status,
        );
      await knows(403);
      const { expiresAtMs: endsMs } = issued;
      expect(await cluster.joinCredentials()).toContainEqual({
        id: issued.id,
        nodeId,
        recordId,
        expiresAtMs: endsMs,
      });
      await cluster.revokeJoinCredential(issued.id);
      await cluster.revokeJoinCredential(issued.id);
      expect((await cluster.joinCredentials()).some(({ id }) => id === issued.id)).toBe(false);
      await knows(401);
    });

    test('a token of the operator’s own is neither listed nor revoked', async () => {
      const id = randomBytes(3).toString('hex');
      await admin('POST', secrets, {
        metadata: { name: `bootstrap-token-${id}` },
        type: 'bootstrap.kubernetes.io/token',
        stringData: {
          'token-id': id,
          'token-secret': '0123456789abcdef',
          'usage-bootstrap-authentication': 'true',
        },
      });
      expect((await cluster.joinCredentials()).some((one) => one.id === id)).toBe(false);
      await cluster.revokeJoinCredential(id);
      expect((await admin('GET', `${secrets}/bootstrap-token-${id}`)).status).toBe(200);
      await admin('DELETE', `${secrets}/bootstrap-token-${id}`);
    });
  });

  describe('the gateway’s rights', () => {
    test('end where its work ends', async () => {
      const token = /token: (\S+)/.exec(setup.kubeconfig?.reveal() ?? '')?.[1];
      const gateway = callerOf(world, undefined, { authorization: `Bearer ${token}` });
      const policies = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
      const refused: Array<[string, string, unknown?]> = [
        ['POST', '/api/v1/nodes', nodeBody('made-by-gateway')],
        ['POST', pods, podBody('made-by-gateway', 'x')],
        ['GET', '/api/v1/namespaces/default/secrets'],
        ['GET', '/api/v1/secrets'],
        ['PATCH', `${secrets}/any`, {}],
        ['PUT', `${secrets}/any`, {}],
        ['GET', '/api/v1/namespaces/kube-system/configmaps'],
        ['GET', '/api/v1/namespaces/kube-system/configmaps/another'],
        ['DELETE', '/api/v1/namespaces/kube-system/configmaps/k3s-daas-admitted'],
        ['PATCH', `${policies}/k3s-daas-node-names`, {}],
        ['DELETE', `${policies}/k3s-daas-node-names`],
        ['GET', policies],
        ['POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', { metadata: { name: 'x' } }],
      ];
      for (const [method, path, body] of refused)
        expect(
          (await gateway(method, path, body, method === 'PATCH' ? merge : undefined)).status,
          `${method} ${path}`,
        ).toBe(403);
    });

    test('of Secrets it writes join credentials and node passwords alone, and deletes nobody else’s', async () => {
      const token = /token: (\S+)/.exec(setup.kubeconfig?.reveal() ?? '')?.[1];
      const gateway = callerOf(world, undefined, { authorization: `Bearer ${token}` });
      const [stolen, foreign] = [uniqueName('stolen'), uniqueName('foreign')];
      const message = expect.stringContaining('the gateway writes join credentials and node passwords only');
      const accountToken = {
        metadata: { name: stolen, annotations: { 'kubernetes.io/service-account.name': 'default' } },
        type: 'kubernetes.io/service-account-token',
      };
      expect(await gateway('POST', secrets, accountToken)).toMatchObject({
        status: 403,
        object: { message },
      });
      await admin('POST', secrets, { metadata: { name: foreign }, stringData: { a: 'b' } });
      expect(await gateway('DELETE', `${secrets}/${foreign}`)).toMatchObject({
        status: 403,
        object: { message },
      });
      expect((await admin('DELETE', `${secrets}/${foreign}`)).status).toBe(200);
      // The password Secrets of k3s before late 2025 are Opaque; the gateway may replace those that are nobody's.
      const old = uniqueName('old');
      await admin('POST', secrets, {
        metadata: { name: `${old}.node-password.k3s` },
        stringData: { hash: 'x' },
      });
      await cluster.reserveNodePassword({ nodeId: old, recordId: drawRecord(), hash: 'y' });
      expect(await cluster.nodePassword(old)).toMatchObject({ hash: 'y' });
      await cluster.releaseNodePassword(old);
    });

    test('without setup, the error names the fix', async () => {
      const kubeconfig = await readFile(world.adminKubeconfigPath, 'utf8');
      await using asAdmin = openKubernetes({ kubeconfig: { text: kubeconfig } });
      const path = `/api/v1/namespaces/${namespaceOfName('w1')}`;
      await admin('DELETE', path);
      const admit = () =>
        asAdmin.admitName({ nodeId: 'w1', tier: 'basic' }).then(
          () => '',
          (error: unknown) => String((error as { code?: string }).code),
        );
      const isMissing = (code: string) => code === 'DAAS_CLUSTER_NOT_SET_UP';
      await eventually('the namespace is gone', 60_000, admit, isMissing);
      expect(await cluster.policyState()).toMatchObject({ kind: 'not-in-place' });
      await setupCluster({ kubeconfig: { text: kubeconfig } });
      expect(await cluster.policyState()).toEqual({ kind: 'in-place' });
    });
  });
});

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { kubeletHealthzUrl } from './kubelet-health.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'kubelet-'));
});
afterEach(() => rm(directory, { recursive: true }));

const at = (...texts: string[]) =>
  kubeletHealthzUrl({
    kubeletArguments: texts.map((text) => text.replace('{dir}', directory)),
    dataDir: join(directory, 'data'),
    nodeIp: '192.0.2.1',
  });

async function write(path: string, text: string): Promise<void> {
  await mkdir(dirname(join(directory, path)), { recursive: true });
  await writeFile(join(directory, path), text);
}

const conf = (lines: string) =>
  `apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n${lines}`;

test.each([
  [[], '127.0.0.1:10248'],
  [['healthz-port=10300'], '127.0.0.1:10300'],
  [['--healthz-port=10300'], '127.0.0.1:10300'],
  [['healthz_port=10300'], '127.0.0.1:10300'],
  [['healthz-port+=10300'], '127.0.0.1:10300'],
  [['healthz-port-=10300'], '127.0.0.1:10300'],
  [['healthz-port=1', 'healthz-port=2'], '127.0.0.1:2'],
  [['healthz-port=1', 'healthz-port-=2'], '127.0.0.1:1'],
  [['healthz-port=0x2000'], '127.0.0.1:8192'],
  [['healthz-bind-address=192.0.2.7'], '192.0.2.7:10248'],
  [['--healthz-bind-address=::1'], '[::1]:10248'],
  [['healthz-bind-address=0.0.0.0'], '127.0.0.1:10248'],
  [['healthz-bind-address=::'], '[::1]:10248'],
  [['healthz-bind-address='], '127.0.0.1:10248'],
  [['v=2', 'feature-gates=A=true'], '127.0.0.1:10248'],
  // k3s drops the word behind one without a value, which it takes for a pair.
  [['v', 'healthz-port=10300'], '127.0.0.1:10248'],
] as const)('kubelet arguments %j: health at %s', async (texts, expected) => {
  expect(await at(...texts)).toBe(`http://${expected}/healthz`);
});

test.each([['healthz-port=0'], ['healthz-port=x'], ['healthz-port'], ['healthz-port=70000']])(
  'a health port that cannot be asked is refused: %s',
  async (text) => {
    await expect(at(text)).rejects.toMatchObject({ code: 'DAAS_AGENT_HEALTHZ_OFF', exitCode: 78 });
  },
);

test('config=FILE counts, and flags count more', async () => {
  await write('kubelet.yaml', conf('healthzPort: 10301\nhealthzBindAddress: 192.0.2.9\n'));
  expect(await at('config={dir}/kubelet.yaml')).toBe('http://192.0.2.9:10301/healthz');
  expect(await at('--config', '{dir}/kubelet.yaml')).toBe('http://192.0.2.9:10301/healthz');
  expect(await at('config={dir}/kubelet.yaml', 'healthz-port=1')).toBe('http://192.0.2.9:1/healthz');
});

test('files of a config-dir are merged by path, and null takes a value back', async () => {
  await write('d/20.conf', conf('healthzPort: 2\n'));
  await write('d/10.conf', conf('healthzPort: 1\nhealthzBindAddress: "::1"\n'));
  await write('d/15/x.conf', conf('healthzBindAddress: null\n'));
  await write('d/30.yaml', conf('healthzPort: 3\n'));
  expect(await at('config-dir={dir}/d')).toBe('http://127.0.0.1:2/healthz');
});

test("k3s' own drop-ins come before the files of its flags by name, and k3s' defaults are written anew", async () => {
  await write('data/agent/etc/kubelet.conf.d/00-k3s-defaults.conf', conf('healthzPort: 9\n'));
  expect(await at()).toBe('http://127.0.0.1:10248/healthz');
  await write('data/agent/etc/kubelet.conf.d/05.conf', conf('healthzPort: 5\n'));
  expect(await at()).toBe('http://127.0.0.1:5/healthz');
  await write('kubelet.yaml', conf('healthzPort: 10301\n'));
  expect(await at('config={dir}/kubelet.yaml')).toBe('http://127.0.0.1:10301/healthz');
  await write('data/agent/etc/kubelet.conf.d/99.conf', conf('healthzPort: 99\n'));
  expect(await at('config={dir}/kubelet.yaml')).toBe('http://127.0.0.1:99/healthz');
});

test('with an IPv6 node address the kubelet is asked at the loopback of that family', async () => {
  const settings = { kubeletArguments: [], dataDir: directory };
  expect(await kubeletHealthzUrl({ ...settings, nodeIp: '2001:db8::1,192.0.2.1' })).toBe(
    'http://[::1]:10248/healthz',
  );
});

test('a file that is not there is refused by its path', async () => {
  await expect(at('config={dir}/none.yaml')).rejects.toMatchObject({
    code: 'DAAS_K3S_CONFIG_UNREADABLE',
    message: expect.stringContaining('none.yaml'),
  });
});

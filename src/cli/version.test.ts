import { expect, test } from 'vitest';
import { createIo } from './io.ts';
import { packageVersion } from './package-version.ts';
import { versionCommand } from './version.ts';

function captured(json: boolean) {
  const text: string[] = [];
  const stdout = { write: (part: string) => text.push(part) } as unknown as NodeJS.WriteStream;
  return { io: createIo({ json, stdout, stderr: stdout }), text: () => text.join('') };
}

test('version --json says version, commit, Node, packages and the tested k3s', async () => {
  const { io, text } = captured(true);
  await versionCommand(io).parseAsync([], { from: 'user' });
  expect(JSON.parse(text())).toEqual({
    version: packageVersion(),
    // Sources are no build: no commit is known of them.
    commit: null,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
    isSingleExecutable: false,
    packages: {},
    k3sTested: expect.arrayContaining([expect.stringMatching(/^v1\.\d+\.\d+$/)]),
  });
});

test('version says the same to people', async () => {
  const { io, text } = captured(false);
  await versionCommand(io).parseAsync([], { from: 'user' });
  expect(text()).toMatch(/version +\d+\.\d+\.\d+/);
  expect(text()).toMatch(/k3s tested +v1\./);
});

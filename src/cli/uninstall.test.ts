import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { createIo } from './io.ts';
import { uninstallCommand } from './uninstall.ts';

test('a time to wait that is none is refused before anything is looked at', async () => {
  const io = createIo({ json: true, stdout: new PassThrough(), stderr: new PassThrough() });
  const words = ['--restore-k3s', '--dry-run', '--wait', 'soon'];
  await expect(uninstallCommand(io).exitOverride().parseAsync(words, { from: 'user' })).rejects.toMatchObject(
    { code: 'DAAS_DURATION_INVALID', message: expect.stringContaining('--wait') },
  );
});

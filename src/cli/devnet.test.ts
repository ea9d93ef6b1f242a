import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';

test('the devnet command says where it listens and that it is for development, and ends on SIGTERM', async () => {
  const child = spawn(
    process.execPath,
    ['--conditions=source', join(import.meta.dirname, '..', 'main.ts'), '--json', 'devnet', '--port', '0'],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let warning = '';
  child.stderr.on('data', (chunk: Buffer) => {
    warning += chunk.toString();
  });
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  const ready = JSON.parse(line) as { event: string; url: string; chainId: string };
  expect(ready.event).toBe('devnet.ready');
  const health = (await (await fetch(`${ready.url}/health`)).json()) as { chainId: string };
  expect(health.chainId).toBe(ready.chainId);
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number];
  expect(code).toBe(0);
  expect(warning).toContain('dev chain');
});

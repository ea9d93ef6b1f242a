import { dirname, join } from 'node:path';
import { compileInto } from './cli/compile-cache.ts';

// From the launcher, and read by now: k3s and its containerd are to do as they would.
const ofLauncher = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '16384',
  MALLOC_TRIM_THRESHOLD_: '32768',
  MALLOC_TOP_PAD_: '16384',
};
for (const [name, value] of Object.entries(ofLauncher))
  if (process.env[name] === value) delete process.env[name];

// The first file that runs, built or as source: what is loaded after it comes compiled from a cache, which takes a third off
// every start. It lies beside the code: whoever could write into it could run code as this user, and /tmp, Node's own choice,
// is everybody's. The single executable starts with src/start-executable.ts.
compileInto(compileCache(import.meta.dirname, import.meta.filename));
const argv = process.argv.slice(2);
// kubectl waits for it.
const isDone = argv[0] === 'credential' && (await (await import('./credential.ts')).runCredential(argv));
if (!isDone) await import('./main.ts');

function compileCache(here: string, file: string): string {
  const isSource = file.endsWith('.ts');
  return isSource ? join(dirname(here), 'node_modules', '.cache', 'k3s-daas') : join(here, 'compile-cache');
}

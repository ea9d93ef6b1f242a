// `npm run demo`: the whole story on one screen. With --json one object a line; with --keep the demo keeps running.
import { parseArgs } from 'node:util';
import { createReporter } from './reporter.ts';
import { runDemo } from './story.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    tee: { type: 'string', default: 'none' },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.tee !== 'none' && values.tee !== 'dev') {
  process.stderr.write(`--tee takes none or dev, not '${values.tee}'\n`);
  process.exitCode = 64;
} else if (values.help) {
  process.stdout.write(`usage: npm run demo -- [--json] [--keep] [--tee dev]

Runs a dev chain, a gateway, a k3s cluster and two workers on this machine; slashes one worker and shows what follows.

  --json   one JSON object a line; exit code 0 only if everything happened
  --keep   keep the demo running until Ctrl-C, and print how to connect
  --tee dev  gateways show evidence of a stand-in, and workers refuse the one that runs something else

K3S_BIN=/path/to/k3s (as root) uses a real k3s in network namespaces instead of the stand-ins.
`);
} else {
  // A closed terminal must not stop the clean-up.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const reporter = createReporter({ isJson: values.json });
  process.exitCode = await runDemo(reporter, { keep: values.keep, isAttesting: values.tee === 'dev' });
  // Everything is written by then: nothing that hangs keeps the process alive.
  setTimeout(() => process.exit(), 2_000).unref();
}

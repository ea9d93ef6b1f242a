// `npm run demo`: the whole story on one screen. With --json one object a line, for machines; with --keep the world stays.
import { parseArgs } from 'node:util';
import { tell } from './story.ts';
import { createTeller } from './teller.ts';

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    help: { type: 'boolean', short: 'h', default: false },
  },
});
if (values.help) {
  process.stdout.write(`usage: npm run demo -- [--json] [--keep]

Runs a dev chain, a gateway, a k3s cluster and two workers on this machine; slashes one worker and shows what follows.

  --json   one JSON object a line; exit code 0 only if everything happened
  --keep   leave the world running until Ctrl-C, and tell how to talk to it

K3S_BIN=/path/to/k3s (as root) uses a real k3s in network namespaces instead of the stand-ins.
`);
} else {
  // A terminal that has gone must not keep the world from being put away.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  const teller = createTeller({ isJson: values.json });
  process.exitCode = await tell(teller, { keep: values.keep });
  // What was told has long been written by then, and nothing that hangs keeps the demo.
  setTimeout(() => process.exit(), 2_000).unref();
}

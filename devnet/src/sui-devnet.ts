#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { startDevnet } from './devnet.ts';
import { DevnetError, messageOf } from './errors.ts';

const USAGE = `usage: sui-devnet [--host ADDRESS] [--port PORT] [--json]

Runs a Sui dev chain in the foreground until Ctrl-C. Its state is in memory, and its SUI is worth nothing.

  --host ADDRESS   address to listen on (default 127.0.0.1)
  --port PORT      port to listen on, 0 for a free one (default 9000)
  --json           print one JSON object when it is ready
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      host: { type: 'string', default: '127.0.0.1' },
      port: { type: 'string', default: '9000' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  await using devnet = await startDevnet({ listen: { host: values.host, port: portOf(values.port) } });
  const { url, faucetUrl, controlUrl, chainId } = devnet;
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ event: 'devnet.ready', url, faucet: faucetUrl, control: controlUrl, chainId })}\n`
      : `chain URL  ${url}\nfaucet     POST ${faucetUrl}\ncontrol    ${controlUrl}\nchain id   ${chainId}\n`,
  );
  await new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, resolve);
  });
}

function portOf(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535)
    throw new TypeError(`--port ${text} is not a whole number from 0 to 65535`);
  return port;
}

try {
  await main();
} catch (error) {
  const code = error instanceof DevnetError ? ` (${error.code})` : '';
  process.stderr.write(`sui-devnet: ${messageOf(error)}${code}\n`);
  process.exitCode = 1;
}

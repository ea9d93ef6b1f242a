/** Blocks of commands that no test runs, with the reason that their page gives. Keep it short: readers run these first. */
export const notRunHere: ReadonlyArray<readonly [page: string, firstLine: string, reason: string]> = [
  ['README.md', 'git clone … && cd k3s-daas', 'needs the network; CI runs both commands'],
  ['README.md', 'k3s-daas agent --node-label disk=ssd', 'the worker of getting started runs this command'],
  [
    'docs/getting-started.md',
    'npm run --silent build && npm pack --workspaces --include-workspace-root',
    'writes into the clone and installs as root',
  ],
  [
    'docs/getting-started.md',
    'npm run demo -- --keep',
    'runs until Ctrl-C; the blocks below run in the same world',
  ],
  ['docs/getting-started.md', 'systemctl daemon-reload', 'needs systemd and root'],
  [
    'docs/testing.md',
    'K3S_DAAS_TEST_SUI_RPC_ENDPOINT=https://fullnode.testnet.sui.io:443 K3S_DAAS_TEST_SUI_KEY=suiprivkey1… \\',
    'needs a Sui network',
  ],
];

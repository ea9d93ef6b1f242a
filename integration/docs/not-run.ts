/** Blocks of commands that no test runs, with the reason that their page gives. Keep it short: readers run these first. */
export const notRunHere: ReadonlyArray<readonly [page: string, firstLine: string, reason: string]> = [
  ['README.md', 'git clone … && cd k3s-daas', 'needs the network; CI runs both commands'],
  ...[
    'apt-get install --yes curl ca-certificates',
    'k3s-daas install --gateway',
    'k3s-daas install --dry-run',
  ].map(
    (line) =>
      ['README.md', line, 'integration/install/readme.test.ts runs it in a bare Debian root'] as const,
  ),
  ['README.md', 'k3s-daas agent --node-label disk=ssd', 'the worker of getting started runs this command'],
  [
    'docs/getting-started.md',
    'npm pack --workspaces --include-workspace-root',
    'writes into the clone and installs as root',
  ],
  [
    'docs/getting-started.md',
    'npm run demo -- --keep',
    'runs until Ctrl-C; the blocks below run in the same world',
  ],
  ['docs/getting-started.md', 'systemctl daemon-reload', 'needs systemd and root'],
  ['docs/install.md', 'npm run release -- --dry-run', 'writes into the clone; CI runs it'],
  ...[
    'INSTALL_K3S_DAAS_ARTIFACT=./k3s-daas-linux-amd64.tar.gz sh install.sh --dry-run',
    'INSTALL_K3S_DAAS_ARTIFACT=./k3s-daas-linux-amd64.tar.gz sh install.sh',
    'k3s-daas doctor',
    'kubectl delete role,rolebinding -A -l app.kubernetes.io/managed-by=k3s-daas --field-selector metadata.name=NAME',
  ].map(
    (line) => ['docs/install.md', line, 'integration/install runs it on a machine with systemd'] as const,
  ),
  ...['dpkg -i k3s-daas_0.1.0_amd64.deb', 'apt-get install libatomic1'].map(
    (line) => ['docs/install.md', line, 'npm run release installs it in a bare Debian root'] as const,
  ),
  ...[
    'k3s-daas uninstall --restore-k3s',
    'kubectl delete node NAME',
    'k3s-daas uninstall',
    'INSTALL_K3S_DAAS_ARTIFACT=./k3s-daas-linux-amd64.tar.gz sh install.sh --gateway',
  ].map(
    (line) => ['docs/install.md', line, 'integration/install runs it on a machine with systemd'] as const,
  ),
  [
    'docs/kubectl.md',
    'k3s-daas stake --for user --network testnet --key-file wallet.key',
    'integration/kube/kubectl.test.ts runs it on a real API server',
  ],
  [
    'docs/kubectl.md',
    'ssh-add ~/.ssh/id_ed25519',
    'needs your own agent; integration/chain/person-stakes.test.ts runs it with a real one',
  ],
  ...[
    'k3s-daas kubeconfig --login ~/.config/k3s-daas/login.json --ca-file server-ca.crt --merge',
    '$ kubectl get sn',
    'ln -s "$(command -v k3s-daas)" ~/.local/bin/kubectl-daas',
  ].map(
    (line) =>
      ['docs/kubectl.md', line, 'integration/kube/kubectl.test.ts runs it on a real API server'] as const,
  ),
  [
    'docs/money.md',
    'k3s-daas leave --dry-run',
    'integration/leaving.test.ts runs these commands on a whole system',
  ],
  ...[
    'k3s-daas stake list --network testnet --key-file wallet.key',
    'k3s-daas withdraw --network testnet --key-file wallet.key --node-id NAME',
  ].map(
    (line) =>
      [
        'docs/money.md',
        line,
        'integration/chain/stake-commands.test.ts runs these commands on the dev chain',
      ] as const,
  ),
  [
    'docs/money.md',
    'k3s-daas unstake --network testnet --node-id NAME --sender ADDRESS --unsigned unstake.json',
    'integration/chain/unsigned.test.ts runs these commands on the dev chain',
  ],
  [
    'docs/operations.md',
    'k3s-daas gateway setup --server-files --dry-run      # --print shows the files themselves',
    'integration/kube/authorizer.test.ts and integration/real-lockout.test.ts run it on API servers',
  ],
  [
    'docs/operations.md',
    "NODE_OPTIONS='--import /opt/tracing/sdk.mjs' k3s-daas gateway run",
    'needs an SDK and a collector',
  ],
  [
    'docs/operations.md',
    "k3s-daas audit verify                    # on the gateway's machine, as its user or root: chain, keyed hashes, checkpoints",
    'audit.test.ts runs the commands',
  ],
  [
    'docs/operations.md',
    "k3s-daas audit verify                                    # on the gateway's machine; --no-anchor leaves the chain alone",
    'anchored-state.test.ts runs the commands',
  ],
  [
    'docs/operations.md',
    "echo 'd /run/k3s-daas-front 2710 root haproxy' >/etc/tmpfiles.d/k3s-daas-front.conf",
    'needs systemd and root; npm run test:haproxy makes such a directory',
  ],
  [
    'docs/proofs.md',
    'sudo k3s-daas proof show worker-7 --from /var/lib/k3s-daas-gateway/proofs.db > ban.json',
    'needs the state directory of a gateway',
  ],
  [
    'docs/proofs.md',
    'k3s-daas proof pin --network testnet                     # shows pin and fingerprint',
    'the tests of the command run it on a dev chain',
  ],
  [
    'docs/proofs.md',
    'k3s-daas proof show 0xCLUSTER --network testnet --pin "$RECENT_PIN" > cluster-proof.json',
    'needs a gateway that strangers reach',
  ],
  [
    'docs/testing.md',
    'K3S_DAAS_TEST_SUI_RPC_ENDPOINT=https://fullnode.testnet.sui.io:443 K3S_DAAS_TEST_SUI_KEY=suiprivkey1… \\',
    'needs a Sui network',
  ],
];

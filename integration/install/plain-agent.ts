/** What k3s' installer leaves of `K3S_URL=… K3S_TOKEN=… sh -s - agent …` (install.sh of k3s). */
export function plainAgent({
  server,
  token,
  flags,
  variables,
}: {
  readonly server: string;
  readonly token: string;
  readonly flags: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
}): Readonly<Record<string, string>> {
  const lines = { K3S_TOKEN: token, ...variables };
  return {
    '/etc/systemd/system/k3s-agent.service': `[Unit]
Description=Lightweight Kubernetes
Documentation=https://k3s.io
Wants=network-online.target
After=network-online.target

[Install]
WantedBy=multi-user.target

[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-/etc/systemd/system/k3s-agent.service.env
KillMode=process
Delegate=yes
User=root
# Having non-zero Limit*s causes performance problems due to accounting overhead
# in the kernel. We recommend using cgroups to do container-local accounting.
LimitNOFILE=1048576
LimitNPROC=infinity
LimitCORE=infinity
TasksMax=infinity
TimeoutStartSec=0
Restart=always
RestartSec=5s
ExecStartPre=-/sbin/modprobe br_netfilter
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s \\
    agent \\
${flags.map((flag) => `\t'${flag}' \\\n`).join('')}
`,
    '/etc/systemd/system/k3s-agent.service.env': Object.entries(lines)
      .map(([name, value]) => `${name}='${value}'\n`)
      .join(''),
    '/etc/rancher/k3s/config.yaml': `# the operator's own\nserver: ${server}\nnode-label:\n  - rack=3\n`,
    // The stand-in's READY=1 comes from a child, k3s' own from the main process.
    '/etc/systemd/system/k3s-agent.service.d/standin.conf': '[Service]\nNotifyAccess=all\n',
  };
}

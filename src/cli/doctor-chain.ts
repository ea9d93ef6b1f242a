import { formatSui } from '#chain';
import { PROOF_CLOCK_LEEWAY_MS } from '#seal';
import { bad, type Check, type GatewayAnswer, good, unknown, type Verdict, warn } from './doctor-check.ts';

/** Sui makes a checkpoint in about a quarter of a second. */
const lagMs = 30_000;
const wrongClockMs = 60_000;
/** As the host's rotation would need it; 20 of 30 epochs are not scarce. */
const fewEpochs = 3n;

/** Sui, the gateways that it names, and the stake of this node. */
export const chainChecks: readonly Check[] = [
  {
    id: 'chain',
    group: 'chain',
    what: 'full node, package and cluster',
    link: 'errors.md#chain',
    async judge(probes) {
      const { point, cluster, askedAtMs } = await probes.chain();
      const behindMs = askedAtMs - point.timestampMs;
      const text = `epoch ${point.epoch}, cluster ${cluster.id}, ${Math.round(behindMs / 1000)} s behind this machine’s clock`;
      if (Math.abs(behindMs) < lagMs) return good(text);
      return bad(
        text,
        'the full node lags or this machine’s clock is wrong: compare the check `clock`, and set chain.endpoints to another full node',
      );
    },
  },
  {
    id: 'trust-pin',
    group: 'chain',
    what: 'proof of what the full node says',
    link: 'proofs.md',
    async judge(probes) {
      const { hasTrustPin } = await probes.chain();
      if (hasTrustPin)
        return good('the deployment file has a trust pin: facts are held to the validators’ signatures');
      return warn(
        'the deployment file has no trust pin: full nodes are believed',
        'write one: `k3s-daas proof pin --write`',
      );
    },
  },
  {
    id: 'clock',
    group: 'machine',
    what: 'clock',
    link: 'errors.md#gateway-as-a-worker-meets-it',
    async judge(probes) {
      const clocks = (await probes.gateways()).flatMap(({ clock }) => clock ?? []);
      const [first] = clocks;
      if (!first) return unknown('no gateway has said what time it is');
      const apart = clocks.map(({ theirsMs, oursMs }) => oursMs - theirsMs);
      const worstMs = apart.reduce((worst, one) => (Math.abs(one) > Math.abs(worst) ? one : worst), 0);
      const text = `${(Math.abs(worstMs) / 1000).toFixed(1)} s ${worstMs < 0 ? 'behind' : 'ahead of'} the gateway`;
      const fix = 'set the clock by NTP: `timedatectl set-ntp true`';
      // Proofs are dated in the gateway's time; certificates and k3s go by this machine's.
      if (Math.abs(worstMs) < PROOF_CLOCK_LEEWAY_MS) return good(text);
      return Math.abs(worstMs) < wrongClockMs ? warn(text, fix) : bad(text, fix);
    },
  },
  {
    id: 'gateway',
    group: 'gateway',
    what: 'gateways, by the keys that the chain names',
    link: 'errors.md#gateway-as-a-worker-meets-it',
    judge: async (probes) => judgeGateways(await probes.gateways()),
  },
  {
    id: 'admission',
    group: 'gateway',
    what: 'admission of this node',
    link: 'api.md',
    async judge(probes) {
      const answers = (await probes.gateways()).filter(({ admissible }) => admissible !== undefined);
      if (answers.length === 0) return unknown('no gateway has answered');
      if (answers.some(({ admissible }) => admissible)) return good('a gateway would admit it');
      const reasons = [...new Set(answers.map(({ reason }) => reason ?? 'no reason given'))].join(', ');
      return bad(`refused: ${reasons}`, `ask the operator of the cluster; docs/api.md explains ${reasons}`);
    },
  },
  {
    id: 'server-ca',
    group: 'gateway',
    what: 'CA of the k3s server',
    link: 'errors.md#k3s-agent',
    async judge(probes) {
      const ca = await probes.serverCa();
      if (!ca) return unknown('this node has not joined yet');
      if (ca.found === ca.expected) return good(`${ca.url} has the CA that this node joined by`);
      return bad(
        `${ca.url} shows the CA ${ca.found.slice(0, 16)}…, and this node joined by ${ca.expected.slice(0, 16)}…`,
        'ask the operator whether the CA was replaced; if not, something stands between this machine and the server. A new registration brings the new hash: `systemctl restart k3s-agent`',
      );
    },
  },
  {
    id: 'stake',
    group: 'stake',
    what: 'stake and Seal token',
    link: 'contracts.md',
    judge: judgeStake,
  },
  {
    id: 'gas',
    group: 'stake',
    what: 'SUI for gas',
    link: 'errors.md#wallet-and-node-key',
    async judge(probes) {
      const [{ address, mist, isElsewhere }, { gasMist }] = await Promise.all([
        probes.balance(),
        probes.worker(),
      ]);
      const text = `${address} has ${formatSui(mist)}`;
      if (isElsewhere) return good(`${text}; its key is elsewhere, and this machine pays no gas`);
      if (mist >= gasMist) return good(text);
      return warn(text, `send it some SUI: a transaction may need up to ${formatSui(gasMist)}`);
    },
  },
];

function judgeGateways(answers: readonly GatewayAnswer[]): Verdict {
  if (answers.length === 0)
    return bad('the chain names no live gateway', 'ask the operator: `k3s-daas cluster gateway status`');
  const failed = answers.filter(({ error }) => error);
  const text = answers
    .map(({ url, error }) => `${url} ${error ? `${error.code}: ${error.message}` : 'answers'}`)
    .join('; ');
  const impostor = failed.find(({ error }) => error?.code === 'DAAS_GATEWAY_PIN_MISMATCH');
  if (impostor)
    return bad(
      text,
      'its key is not the one on chain: something stands between, or the operator has not registered a new key',
    );
  if (failed.length === 0) return good(text);
  const fix = 'check the network to it (firewall, proxy), or ask the operator';
  return failed.length === answers.length ? bad(text, fix) : warn(text, fix);
}

async function judgeStake(probes: Parameters<Check['judge']>[0]): Promise<Verdict> {
  const [{ record, token }, { cluster, point }, { nodeId }] = await Promise.all([
    probes.stake(),
    probes.chain(),
    probes.worker(),
  ]);
  if (!record)
    return warn(`node ${nodeId} has no live stake`, 'the next start stakes, if stake.amountMist is set');
  const text = `record ${record.id} is ${record.status} with ${formatSui(record.stakeMist)}`;
  const minimumMist = cluster.parameters.minimumWorkerStakeMist;
  if (record.status !== 'active')
    return bad(text, 'stake again: `k3s-daas agent --stake-again`, if the operator allows it');
  if (record.stakeMist < minimumMist)
    return bad(`${text}, and the minimum is ${formatSui(minimumMist)}`, 'raise it: `k3s-daas stake top-up`');
  if (!token) return warn(`${text}, without a Seal token`, 'the next start mints one');
  const left = token.expiresAtEpoch - point.epoch;
  const withToken = `${text}; its Seal token ends in ${left} epochs`;
  const fix = 'replace it: `k3s-daas token rotate`';
  if (left <= 0n) return bad(withToken, fix);
  return left < fewEpochs ? warn(withToken, fix) : good(withToken);
}

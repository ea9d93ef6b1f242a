// Checks from outside what `npm run demo -- --keep --json` tells: `node check.mjs <file with its lines>`.
// It imports nothing of this project: curl, the Sui SDK, a YAML reader and what Node brings are all it has. It prints
// one line for each thing it has seen, and ends with 0 only if everything held.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash, generateKeyPairSync, randomBytes, scryptSync, sign } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { promisify } from 'node:util';
import { requestSuiFromFaucetV2 } from '@mysten/sui/faucet';
import { SuiGrpcClient } from '@mysten/sui/grpc';
import { Ed25519Keypair } from '@mysten/sui/keypairs/ed25519';
import { Transaction } from '@mysten/sui/transactions';
import { toBase58 } from '@mysten/sui/utils';
import { parse } from 'yaml';

const events = readFileSync(process.argv[2] ?? '/dev/stdin', 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line));
const only = (name) => {
  const found = events.find(({ event }) => event === name);
  assert(found, `the demo told no ${name}`);
  return found;
};
const all = (name) => {
  const found = events.filter(({ event }) => event === name);
  assert(found.length > 0, `the demo told no ${name}`);
  return found;
};
const seen = (what) => process.stdout.write(`ok  ${what}\n`);

const chain = only('chain.ready');
const { packageId, clusterId } = chain;
const sui = new SuiGrpcClient({ network: 'outside', baseUrl: chain.url, format: 'binary' });
const kubernetes = kubernetesOf(only('cluster.ready').kubeconfig);
const kept = only('world.kept');
const gateway = { url: kept.gatewayUrl, id: kept.gatewayId, ca: kept.gatewayCaFile };

// --- What the events say, found on chain and in Kubernetes ---

const { chainIdentifier } = await sui.core.getChainIdentifier();
assert.equal(chainIdentifier, chain.chainId);
const cluster = await objectOf(clusterId, `${packageId}::cluster::Cluster`);
seen(`chain ${chain.chainId}, cluster ${clusterId}`);

assert.equal(only('gateway.ready').gatewayId, gateway.id);
assert(
  cluster.gateways.some((entry) => entry.id === gateway.id && entry.endpoint === gateway.url),
  'the chain does not name this gateway',
);
seen(`gateway ${gateway.id} is named on chain, at ${gateway.url}`);

const slashed = only('stake.slashed');
const workers = new Map();
for (const { worker, recordId, digest } of all('stake.created')) {
  const { sender, events: told } = await transactionOf(digest);
  const created = told.find(({ eventType }) => eventType === `${packageId}::staking::StakeCreated`);
  assert.equal(created?.json.record, recordId);
  const record = await objectOf(recordId, `${packageId}::staking::StakeRecord`);
  assert.equal(record.node_id, worker);
  assert.equal(record.staker, sender);
  assert.equal(record.cluster, clusterId);
  workers.set(worker, { recordId, record, sender });
  seen(`${worker}: stake record ${recordId}, staked by ${sender}`);
}

for (const { worker, tokenId, recordId, digest } of all('seal.minted')) {
  const known = workers.get(worker);
  assert.equal(recordId, known.recordId);
  assert.equal((await transactionOf(digest)).sender, known.sender);
  const token = await objectOf(tokenId, `${packageId}::k8s_gateway::SealToken`);
  assert.equal(token.node_id, worker);
  assert.equal(token.stake_id, recordId);
  assert.equal(token.owner, known.sender);
  assert.match(token.token_hash, /^seal_[0-9a-f]{32}$/);
  // A slash takes the token from its record: the object is still there, and counts for nothing.
  assert.equal(known.record.token, worker === slashed.worker ? null : tokenId);
  Object.assign(known, { tokenId, tokenHash: token.token_hash });
  seen(`${worker}: Seal token ${tokenId}, public name ${token.token_hash}`);
}

for (const { worker, gatewayId, gatewayUrl } of all('worker.registered')) {
  assert.equal(gatewayId, gateway.id);
  assert.equal(gatewayUrl, gateway.url);
  assert(workers.has(worker));
}

for (const { worker, nodeUid, pid } of all('worker.ready')) {
  const { status, body: node } = await kubernetes('GET', `/api/v1/nodes/${worker}`);
  if (worker === slashed.worker) {
    assert.equal(status, 404);
    assert(!existsSync(`/proc/${pid}`), 'the slashed worker’s agent is alive');
    continue;
  }
  assert.equal(status, 200);
  assert.equal(node.metadata.uid, nodeUid);
  const ready = node.status.conditions.find(({ type }) => type === 'Ready');
  assert.equal(ready.status, 'True');
  const mark = node.metadata.labels['k3s-daas.node-restriction.kubernetes.io/stake'];
  assert.equal(mark, toBase58(Buffer.from(workers.get(worker).recordId.slice(2), 'hex')));
  assert(node.spec.taints.some(({ key }) => key === 'k3s-daas.io/staked'));
  assert(existsSync(`/proc/${pid}`), 'the agent is not alive');
  seen(`${worker}: Node ${nodeUid} is Ready, marked with its record and tainted, agent ${pid} is alive`);
}
all('heartbeat.acknowledged');

{
  const { events: told } = await transactionOf(slashed.digest);
  const event = told.find(({ eventType }) => eventType === `${packageId}::staking::StakeSlashed`);
  assert.equal(event?.json.record, slashed.recordId);
  const { record } = workers.get(slashed.worker);
  assert.equal(record.id, slashed.recordId);
  assert.notEqual(record.status, 0);
  assert.equal(record.balance?.value ?? record.balance, '0');
  assert.equal(only('agent.stopped').exitCode, 77);
  assert.equal(only('rejoin.refused').exitCode, 77);
  assert.equal(only('node.removed').name, slashed.worker);
  const names = await admittedNames();
  assert.equal(names[slashed.worker], undefined);
  assert([...workers.keys()].filter((name) => name !== slashed.worker).every((name) => names[name]));
  seen(`${slashed.worker}: slashed by ${slashed.digest}, no Node, no longer admitted`);
}

// --- An outsider's own stake, so that there is something to replay and to sign with ---

const outsider = await stakeholder(`outsider-${randomBytes(3).toString('hex')}`, { packageId, clusterId });
const victim = [...workers]
  .map(([nodeId, known]) => ({ nodeId, ...known }))
  .find(({ nodeId }) => nodeId !== slashed.worker);

const own = await registration(outsider);
const admitted = await post(own);
assert.equal(admitted.status, 200, admitted.text);
assert.match(admitted.body.join.token, /^K10[0-9a-f]{64}::[a-z0-9]{6}\.[a-z0-9]{16}$/);
seen(`${outsider.nodeId}: an honest stake, made with nothing but the Sui SDK, is registered`);

await refused('a replayed proof', own);
for (const hash of [victim.tokenHash, outsider.tokenHash])
  await refused('the token hash from the chain', { ...own, proof: hash });
await refused('the token hash from the chain, as a bearer', {
  ...own,
  proof: undefined,
  bearer: victim.tokenHash,
});
for (const proof of ['mock_seal_x', 'seal_mock_x', victim.tokenId]) await refused(proof, { ...own, proof });
await refused(
  'another node’s key for the victim’s token',
  await registration({ ...outsider, nodeId: victim.nodeId, staker: victim.sender, tokenId: victim.tokenId }),
);
{
  // The victim's name with one's own stake: the key is proven, so the reason is told.
  const stolen = await registration({ ...outsider, nodeId: victim.nodeId, staker: victim.sender });
  const { status, body } = await post(stolen);
  assert.deepEqual([status, body.code], [403, 'node_id_mismatch']);
  seen('refused: the victim’s name with an own token (node_id_mismatch)');
}
{
  const copy = await copyOfPackage();
  const lookAlike = await stakeholder(victim.nodeId, copy);
  await refused('a look-alike object of another package', await registration(lookAlike));
}
{
  // Nothing of it changed what the victim has.
  const { status, body } = await kubernetes('GET', `/api/v1/nodes/${victim.nodeId}`);
  const ready = all('worker.ready').find(({ worker }) => worker === victim.nodeId);
  assert.deepEqual([status, body.metadata.uid], [200, ready.nodeUid]);
  assert(existsSync(`/proc/${ready.pid}`));
  seen(`${victim.nodeId} is what it was`);
}

// --- Tools ---

async function objectOf(objectId, type) {
  const { object } = await sui.core.getObject({ objectId, include: { json: true } });
  assert.equal(object.type, type);
  return { ...object.json, id: objectId };
}

async function transactionOf(digest) {
  const result = await sui.core.getTransaction({
    digest,
    include: { events: true, transaction: true, effects: true },
  });
  const { Transaction: landed } = result;
  assert(landed, `${digest} did not succeed`);
  return { sender: landed.transaction.sender, events: landed.events };
}

async function admittedNames() {
  const { body } = await kubernetes('GET', '/apis/rbac.authorization.k8s.io/v1/roles');
  const listingOf = ({ rules }) =>
    rules?.find(({ resources }) => resources?.includes('listings'))?.resourceNames?.[0];
  const names = body.items.map((role) => [role.metadata.name, listingOf(role)]);
  return Object.fromEntries(names.filter(([, listing]) => listing !== undefined));
}

function kubernetesOf(path) {
  const config = parse(readFileSync(path, 'utf8'));
  const { server, 'certificate-authority-data': ca } = config.clusters[0].cluster;
  const { 'client-certificate-data': cert, 'client-key-data': key } = config.users[0].user;
  const pem = (text) => Buffer.from(text, 'base64');
  return (method, resource) =>
    new Promise((resolve, reject) => {
      const call = request(
        new URL(resource, server),
        { method, ca: pem(ca), cert: pem(cert), key: pem(key), timeout: 20_000 },
        async (response) => {
          try {
            const text = Buffer.concat(await response.toArray()).toString();
            resolve({ status: response.statusCode, body: JSON.parse(text) });
          } catch (error) {
            reject(error);
          }
        },
      );
      call.once('timeout', () => call.destroy(new Error(`${resource}: no answer within 20 s`)));
      call.once('error', reject);
      call.end();
    });
}

async function curl(...args) {
  const format = ['--silent', '--show-error', '--max-time', '20', '--write-out', '\n%{http_code}'];
  const { stdout } = await promisify(execFile)('curl', [...format, '--cacert', gateway.ca, ...args]);
  const end = stdout.lastIndexOf('\n');
  const text = stdout.slice(0, end);
  return { status: Number(stdout.slice(end + 1)), text, body: JSON.parse(text) };
}

function post({ proof, bearer, body }) {
  const headers = ['content-type: application/json'];
  if (proof !== undefined) headers.push(`x-seal-token: ${proof}`);
  if (bearer !== undefined) headers.push(`authorization: Bearer ${bearer}`);
  return curl(
    ...headers.flatMap((header) => ['--header', header]),
    '--data-binary',
    body,
    `${gateway.url}/api/v1/register-worker`,
  );
}

/** Whoever has proven nothing learns nothing but a request id. */
async function refused(attack, asked) {
  const { status, body, text } = await post(asked);
  assert.equal(status, 401, `${attack}: ${text}`);
  assert.equal(body.code, 'seal_token_invalid');
  assert(!text.includes('K10'));
  seen(`refused: ${attack}`);
}

/** A registration with a fresh nonce, signed. */
async function registration({ nodeId, staker, tokenId, key, passwordHash }) {
  const query = new URLSearchParams({ node_id: nodeId, staker });
  const { status, body: challenge } = await curl(`${gateway.url}/api/v1/challenge?${query}`);
  assert.equal(status, 200);
  assert.equal(challenge.gateway_id, gateway.id);
  const body = JSON.stringify({
    node_id: nodeId,
    timestamp: challenge.timestamp,
    node_password_hash: passwordHash,
    host: { os: 'outsider' },
  });
  const json = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { x } = key.publicKey.export({ format: 'jwk' });
  const header = { typ: 'seal+jwt', alg: 'Ed25519', kid: tokenId, jwk: { kty: 'OKP', crv: 'Ed25519', x } };
  const claims = {
    iss: nodeId,
    aud: gateway.id,
    iat: challenge.timestamp / 1000,
    exp: (challenge.timestamp + 30_000) / 1000,
    htm: 'POST',
    htu: '/api/v1/register-worker',
    bd: createHash('sha256').update(body).digest('base64url'),
    nonce: challenge.nonce,
  };
  const signed = `${json(header)}.${json(claims)}`;
  const signature = sign(null, Buffer.from(signed), key.privateKey).toString('base64url');
  return { proof: `seal_${signed}.${signature}`, body };
}

async function fundedWallet() {
  const wallet = Ed25519Keypair.generate();
  await requestSuiFromFaucetV2({ host: chain.url, recipient: wallet.toSuiAddress() });
  return wallet;
}

async function carryOut(wallet, transaction) {
  const result = await sui.core.signAndExecuteTransaction({
    transaction,
    signer: wallet,
    include: { effects: true, objectTypes: true },
  });
  assert(result.Transaction, JSON.stringify(result.FailedTransaction?.status.error));
  await sui.core.waitForTransaction({ digest: result.Transaction.digest });
  const { effects, objectTypes } = result.Transaction;
  return (suffix) =>
    effects.changedObjects.find(
      ({ objectId, idOperation }) => idOperation === 'Created' && objectTypes[objectId]?.endsWith(suffix),
    )?.objectId;
}

async function stakeholder(nodeId, contract) {
  const wallet = await fundedWallet();
  const key = generateKeyPairSync('ed25519');
  const { x } = key.publicKey.export({ format: 'jwk' });
  const stake = new Transaction();
  const [coin] = stake.splitCoins(stake.gas, [2_000_000_000n]);
  const record = stake.moveCall({
    target: `${contract.packageId}::staking::stake_for_node`,
    arguments: [
      stake.object(contract.clusterId),
      coin,
      stake.pure.string(nodeId),
      stake.pure.u64(1n),
      stake.object.clock(),
    ],
  });
  stake.moveCall({ target: `${contract.packageId}::staking::share`, arguments: [record] });
  const recordId = (await carryOut(wallet, stake))('::staking::StakeRecord');
  const mint = new Transaction();
  mint.moveCall({
    target: `${contract.packageId}::k8s_gateway::create_worker_seal_token`,
    arguments: [
      mint.object(contract.clusterId),
      mint.object(recordId),
      mint.pure.vector('u8', [...Buffer.from(x, 'base64url')]),
      mint.object.clock(),
    ],
  });
  const tokenId = (await carryOut(wallet, mint))('::k8s_gateway::SealToken');
  const { token_hash: tokenHash } = await objectOf(tokenId, `${contract.packageId}::k8s_gateway::SealToken`);
  const salt = randomBytes(8);
  const derived = scryptSync(randomBytes(16).toString('hex'), salt, 64, {
    N: 2 ** 15,
    r: 8,
    p: 1,
    maxmem: 2 ** 26,
  });
  const passwordHash = `$1:${salt.toString('hex')}:15:8:1:${derived.toString('base64').replace(/=+$/, '')}`;
  return { nodeId, staker: wallet.toSuiAddress(), key, recordId, tokenId, tokenHash, passwordHash };
}

/** The same bytecode once more, taken from the chain, and a cluster in it whose rules the attacker made. */
async function copyOfPackage() {
  const wallet = await fundedWallet();
  const { response } = await sui.movePackageService.getPackage({ packageId });
  const self = Buffer.from(packageId.slice(2), 'hex');
  const modules = response.package.modules.map(({ contents }) => {
    const bytes = Buffer.from(contents);
    // Unpublished modules name themselves by zero.
    for (let at = bytes.indexOf(self); at >= 0; at = bytes.indexOf(self, at))
      bytes.fill(0, at, at + self.length);
    return [...bytes];
  });
  const publish = new Transaction();
  const cap = publish.publish({ modules, dependencies: ['0x1', '0x2'] });
  publish.transferObjects([cap], wallet.toSuiAddress());
  const upgradeCap = (await carryOut(wallet, publish))('::package::UpgradeCap');
  const { object } = await sui.core.getObject({ objectId: upgradeCap, include: { json: true } });
  const copyId = String(object.json.package);
  assert.notEqual(copyId, packageId);
  const create = new Transaction();
  const permissions = [['pods:read'], ['nodes:write'], ['*:*']];
  const vectors = permissions.map((granted) =>
    create.makeMoveVec({
      type: '0x1::string::String',
      elements: granted.map((one) => create.pure.string(one)),
    }),
  );
  const parameters = create.moveCall({
    target: `${copyId}::cluster::new_parameters`,
    arguments: [
      create.pure.u64(1_000_000_000n),
      create.pure.u64(1n),
      create.pure.vector('u64', [1n, 2n, 3n]),
      create.makeMoveVec({ type: 'vector<0x1::string::String>', elements: vectors }),
      create.pure.u64(600_000n),
      create.pure.u64(30n),
      create.pure.vector('address', [wallet.toSuiAddress()]),
      create.pure.u64(1n),
      create.pure.u64(60_000n),
      create.pure.u64(0n),
      create.pure.address(wallet.toSuiAddress()),
    ],
  });
  const created = create.moveCall({ target: `${copyId}::cluster::create_cluster`, arguments: [parameters] });
  create.moveCall({ target: `${copyId}::cluster::share`, arguments: [created] });
  return { packageId: copyId, clusterId: (await carryOut(wallet, create))('::cluster::Cluster') };
}

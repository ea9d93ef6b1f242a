import { DatabaseSync } from 'node:sqlite';
import { isValidTransactionDigest, normalizeSuiAddress } from '@mysten/sui/utils';
import { ConfigurationError, messageOf } from '#base';
import { isOfCluster, recordFacts } from './contract-objects.ts';
import type { Deployment } from './deployment.ts';
import type { KeptProof, ProofDocument, TrustPin } from './proof/index.ts';
import { firstUseOf, keptProofOf, stepsOf } from './proof-store-file.ts';

/** What is asked for: an object's id, a transaction's digest, or the name of a node. */
export interface KeptRequest {
  readonly name: string;
  /** Needed to find a stake record by the name of its node: other clusters have nodes of that name. */
  readonly cluster: Pick<Deployment, 'packageId' | 'clusterId'> | undefined;
  /** Left out: what was trusted on first use. */
  readonly pin: TrustPin | undefined;
}

/** What is kept of a request, with the committees from its pin on: all that convinces a third party. */
export interface KeptAnswer {
  readonly document: ProofDocument;
  readonly pin: TrustPin;
}

/**
 * Reads `proofs.db` of a gateway or a host, also while it runs, and changes nothing.
 * @throws `DAAS_PROOF_UNREADABLE`, `DAAS_PROOF_NOT_KEPT`, `DAAS_TRUST_PIN_MISSING`.
 */
export async function readKeptProof(path: string, request: KeptRequest): Promise<KeptAnswer> {
  const { keptDocument } = await import('./proof/index.ts');
  using database = openReadOnly(path);
  const transaction = await findProof(database, request);
  if (!transaction)
    throw notKept(
      path,
      `no proof of ${request.name}: pass the id of an object, the digest of a transaction or the name of a node`,
    );
  const pin = request.pin ?? firstUseOf(database)?.trust;
  if (!pin)
    throw new ConfigurationError(
      'DAAS_TRUST_PIN_MISSING',
      `${path} names no trust pin: pass --pin, or the deployment file that the program ran with`,
      { details: { path } },
    );
  const chainId = String(database.prepare("SELECT value FROM notes WHERE name = 'chain'").get()?.value ?? '');
  const store = { steps: (of: TrustPin) => stepsOf(database, of) };
  const document = keptDocument({ store, chainId, pin }, transaction);
  if (document) return { document, pin };
  throw notKept(path, 'no committees of this trust pin: pass the pin that the program ran with');
}

type Transaction = KeptProof['proof'];

async function findProof(database: DatabaseSync, request: KeptRequest): Promise<Transaction | undefined> {
  const { name } = request;
  if (/^0x[0-9a-f]{1,64}$/i.test(name)) {
    const row = database.prepare('SELECT * FROM proofs WHERE object = ?').get(normalizeSuiAddress(name));
    return row && keptProofOf(row).proof;
  }
  if (isValidTransactionDigest(name)) return ofTransaction(database, name);
  return ofNode(database, request);
}

/** All that is kept of one transaction, in one proof. */
function ofTransaction(database: DatabaseSync, digest: string): Transaction | undefined {
  const rows = database.prepare('SELECT * FROM proofs WHERE digest = ? ORDER BY object').all(digest);
  const proofs = rows.map((row) => keptProofOf(row).proof);
  const [first] = proofs;
  return first && { ...first, objects: proofs.flatMap(({ objects }) => objects) };
}

/** The newest stake record of the node in our cluster. */
async function ofNode(
  database: DatabaseSync,
  { name, cluster }: KeptRequest,
): Promise<Transaction | undefined> {
  if (cluster === undefined) return undefined;
  const { readProof } = await import('./proof/index.ts');
  let newest: { readonly stakedAtMs: number; readonly proof: Transaction } | undefined;
  for (const row of database.prepare('SELECT * FROM proofs').iterate()) {
    const { proof } = keptProofOf(row);
    const { type = '', contents = new Uint8Array() } = readProof(proof)?.object ?? {};
    if (!type.endsWith('::staking::StakeRecord')) continue;
    if (!isOfCluster(cluster, type, contents)) continue;
    const { nodeId, stakedAtMs } = recordFacts(contents);
    if (nodeId === name && stakedAtMs >= (newest?.stakedAtMs ?? 0)) newest = { stakedAtMs, proof };
  }
  return newest?.proof;
}

function openReadOnly(path: string): DatabaseSync {
  try {
    const database = new DatabaseSync(path, { readOnly: true, timeout: 2_000 });
    database.prepare('SELECT count(*) FROM proofs').get();
    return database;
  } catch (cause) {
    throw new ConfigurationError(
      'DAAS_PROOF_UNREADABLE',
      `${path} cannot be read as a file of proofs (${messageOf(cause)}): pass the proofs.db of a gateway or a host, as a user that may read it`,
      { cause, details: { path } },
    );
  }
}

function notKept(path: string, what: string): ConfigurationError {
  return new ConfigurationError('DAAS_PROOF_NOT_KEPT', `${path} keeps ${what}`, { details: { path } });
}

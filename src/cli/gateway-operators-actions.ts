import { createPrivateKey, type KeyObject } from 'node:crypto';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { spkiPin } from '#api';
import { ConfigurationError, httpsOriginProblem, systemClock } from '#base';
import {
  issueOperatorCertificate,
  makeOperatorCa,
  OPERATOR_FILES,
  OPERATOR_NAME,
  OperatorList,
  type OperatorRole,
  operatorCaUnusable,
  readOperatorCa,
  readOperatorList,
} from '#gateway';
import {
  acquireLock,
  makeTrustedDirectory,
  openTrusted,
  readTrustedText,
  replaceFile,
  writeFailure,
} from '#infrastructure';
import { type GatewaySection, gatewaySection, publicUrlOf } from './gateway-config.ts';
import { type Io, table } from './io.ts';
import { type OperatorFile, operatorFileText } from './operator-file.ts';
import { loadGatewaySettings } from './settings.ts';

export interface OperatorsFlags {
  readonly config?: string;
}
export interface AddFlags extends OperatorsFlags {
  readonly role: OperatorRole;
  readonly days: string;
  readonly url?: string;
  readonly out: string;
}

const dayMs = 86_400_000;
const mostDays = 90;
const origin = 'gateway.operators.directory';

async function sectionOf({ config }: OperatorsFlags): Promise<GatewaySection> {
  return gatewaySection(await loadGatewaySettings({ file: config }));
}

export async function initOperators(io: Io, flags: OperatorsFlags): Promise<void> {
  const { directory } = (await sectionOf(flags)).operators;
  makeTrustedDirectory(directory, { what: 'the directory of the operators’ authority', origin });
  await using _lock = await lockOf(directory);
  const path = (name: keyof typeof OPERATOR_FILES) => join(directory, OPERATOR_FILES[name]);
  const isThere = await exists(path('caCert'));
  if (!isThere) {
    const { certificate, key } = await makeOperatorCa(systemClock.nowMs());
    await replaceFile(path('caKey'), key, 0o600);
    // The certificate last: with it the authority is complete.
    if (!(await exists(path('list')))) await writeList(directory, { version: 1, operators: [] });
    await replaceFile(path('caCert'), certificate, 0o644);
  }
  io.result(
    { directory, made: !isThere },
    isThere
      ? `The authority is there: ${directory}`
      : `Made the authority of the operators in ${directory}. Set gateway.operators.listen, restart the gateway, then: k3s-daas gateway operator add NAME --role view --out FILE`,
  );
}

export async function addOperator(io: Io, name: string, flags: AddFlags): Promise<void> {
  const days = daysOf(flags.days);
  if (!OPERATOR_NAME.test(name))
    throw invalid(
      `'${name}' is no name of an operator: use lower-case letters, digits, dots and hyphens, at most 63`,
    );
  const gateway = await sectionOf(flags);
  const { directory } = gateway.operators;
  const url = urlOf(gateway, flags.url);
  const caCert = await readOperatorCa(directory);
  const caKey = await readCaKey(directory);
  await using _lock = await lockOf(directory);
  const list = await readOperatorList(directory);
  const pin = spkiPin(
    await readTrustedText(gateway.tls.certFile, {
      what: 'the certificate of the gateway',
      origin: 'gateway.tls.certFile',
    }),
  );
  const nowMs = systemClock.nowMs();
  const expiresAtMs = nowMs + days * dayMs;
  const issued = await issueOperatorCertificate({
    caCert,
    caKey,
    name,
    role: flags.role,
    nowMs,
    expiresAtMs,
  });
  const { serial, certificate, key } = issued;
  const file: OperatorFile = {
    version: 1,
    name,
    role: flags.role,
    url,
    gateway_pins: [Buffer.from(pin).toString('hex')],
    certificate,
    key,
    expires_at: expiresAtMs,
  };
  await writeSecretFile(flags.out, operatorFileText(file));
  const entry = { name, role: flags.role, serial, issuedAtMs: nowMs, expiresAtMs };
  await writeList(directory, { ...list, operators: [...list.operators, entry] });
  io.result(
    { file: flags.out, name, role: flags.role, serial, expiresAtMs, url },
    `Wrote ${flags.out} for ${name} (${flags.role}, until ${new Date(expiresAtMs).toISOString()}). It has the private key: hand it over on a safe way, and keep no copy. Its holder runs: k3s-daas gateway nodes --operator ${flags.out}`,
  );
}

export async function listOperators(io: Io, flags: OperatorsFlags): Promise<void> {
  const { directory } = (await sectionOf(flags)).operators;
  const nowMs = systemClock.nowMs();
  const operators = (await readOperatorList(directory)).operators.map((entry) => ({
    ...entry,
    state: entry.revokedAtMs !== undefined ? 'revoked' : nowMs >= entry.expiresAtMs ? 'expired' : 'counts',
  }));
  const rows = operators.map(({ name, role, state, expiresAtMs, serial }) => [
    name,
    role,
    state,
    new Date(expiresAtMs).toISOString(),
    serial,
  ]);
  const text = table([['NAME', 'ROLE', 'STATE', 'EXPIRES', 'SERIAL'], ...rows]);
  io.result({ operators }, operators.length === 0 ? 'no certificates were issued' : text);
}

export async function revokeOperator(io: Io, name: string, flags: OperatorsFlags): Promise<void> {
  const { directory } = (await sectionOf(flags)).operators;
  await using _lock = await lockOf(directory);
  const list = await readOperatorList(directory);
  if (!list.operators.some((entry) => entry.name === name))
    throw invalid(`no certificate was issued to '${name}': 'k3s-daas gateway operator list' lists them`);
  const revokedAtMs = systemClock.nowMs();
  const isHit = (entry: (typeof list.operators)[number]) =>
    entry.name === name && entry.revokedAtMs === undefined;
  const hit = list.operators.filter(isHit);
  await writeList(directory, {
    ...list,
    operators: list.operators.map((entry) => (isHit(entry) ? { ...entry, revokedAtMs } : entry)),
  });
  io.result(
    { name, revoked: hit.map(({ serial }) => serial) },
    `${hit.length} certificates of ${name} count no more. Other gateways need the list, too: copy ${join(directory, OPERATOR_FILES.list)}`,
  );
}

/** Of two commands at once one would write back what the other has read before: a revocation would be undone. */
const lockOf = (directory: string) =>
  acquireLock(join(directory, 'operators.lock'), `the list of operators in ${directory}`);

function writeList(directory: string, list: OperatorList): Promise<void> {
  const text = `${JSON.stringify(OperatorList.parse(list), null, 2)}\n`;
  return replaceFile(join(directory, OPERATOR_FILES.list), text, 0o600);
}

async function readCaKey(directory: string): Promise<KeyObject> {
  const path = join(directory, OPERATOR_FILES.caKey);
  try {
    const rules = { what: 'the key of the operators’ authority', origin };
    return createPrivateKey(
      await readTrustedText(path, { ...rules, exposedCode: 'DAAS_OPERATOR_KEY_EXPOSED' }),
    );
  } catch (cause) {
    throw operatorCaUnusable(path, cause);
  }
}

/** Where operators reach the port, as far as the configuration shows. */
function urlOf(gateway: GatewaySection, given: string | undefined): string {
  if (given !== undefined) {
    const problem = httpsOriginProblem(given);
    if (problem !== undefined) throw invalid(`--url ${given}: ${problem}`);
    return given;
  }
  const { listen } = gateway.operators;
  if (!listen)
    throw new ConfigurationError(
      'DAAS_OPERATOR_CA_UNUSABLE',
      'gateway.operators.listen is not set, so no operator on another machine is answered: set it, or name the gateway by --url',
    );
  return publicUrlOf({ ...gateway, listen });
}

function daysOf(text: string): number {
  const days = Number(text);
  if (Number.isInteger(days) && days >= 1 && days <= mostDays) return days;
  throw invalid(`--days: '${text}' is no number from 1 to ${mostDays}`);
}

function invalid(message: string): ConfigurationError {
  return new ConfigurationError('DAAS_COMMAND_LINE_INVALID', message);
}

async function writeSecretFile(path: string, text: string): Promise<void> {
  const create = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
  const rules = { what: 'the file of the operator', origin: '--out' };
  await using file = await openTrusted(path, rules, create).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EEXIST') throw invalid(`--out: ${path} exists already: name a file that does not`);
    throw cause instanceof ConfigurationError ? cause : writeFailure(path, cause);
  });
  await file.chmod(0o600);
  await file.writeFile(text);
  await file.sync();
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

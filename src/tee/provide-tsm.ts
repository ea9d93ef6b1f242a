import { randomBytes } from 'node:crypto';
import { certificatesOfTable } from './certificate-table.ts';
import type { Evidence } from './evidence.ts';
import {
  type EvidenceProvider,
  expectBound,
  expectReportData,
  failed,
  isThere,
  missing,
  type Provided,
} from './provider.ts';
import { type TsmFolder, tsmFolder } from './tsm-folder.ts';

/** Evidence of a guest of SEV-SNP or TDX, by the interface that Linux has for both. Needs root. */
export function tsmProvider(folder: TsmFolder = tsmFolder()): EvidenceProvider {
  return {
    name: 'tsm',
    async find() {
      const isHere = await isThere(folder.place);
      const what = isHere
        ? folder.place
        : `there is no ${folder.place}: it is in guests of SEV-SNP and TDX, on Linux 6.7 or newer with configfs mounted`;
      return { isHere, what };
    },
    provide: async (reportData) => provide(folder, expectReportData(reportData)),
  };
}

async function provide(folder: TsmFolder, reportData: Buffer): Promise<Provided> {
  // A directory of its own for each request: in a common one two requests would mix.
  const name = `k3s-daas-${randomBytes(8).toString('hex')}`;
  try {
    await folder.make(name);
  } catch (cause) {
    throw asFailure(folder, 'no request can be begun', cause);
  }
  try {
    const evidence = await request(folder, name, reportData);
    return { evidence: expectBound(evidence, reportData, folder.place) };
  } finally {
    // What stays behind is empty, and gone after a restart: no reason to lose evidence that was made.
    await folder.remove(name).catch(() => undefined);
  }
}

async function request(folder: TsmFolder, name: string, reportData: Buffer): Promise<Evidence> {
  try {
    const begunAt = await numberIn(folder, name, 'generation');
    const writes = (await setLevel(folder, name)) + 1;
    await folder.write(name, 'inblob', reportData);
    const bytes = await folder.read(name, 'outblob');
    const table = await optional(folder, name, 'auxblob');
    const driver = (await folder.read(name, 'provider')).toString('latin1').trim();
    const endedAt = await numberIn(folder, name, 'generation');
    if (endedAt !== begunAt + writes)
      throw failed(
        folder.place,
        `the request was written to ${endedAt - begunAt} times, not ${writes}: another process used it, or the kernel did not take the report data`,
      );
    return {
      ...ofDriver(driver),
      bytes,
      collateral: driver === 'sev_guest' ? hostCertificates(folder, table) : [],
    };
  } catch (cause) {
    throw asFailure(folder, 'the request failed', cause);
  }
}

/** A guest below a paravisor must ask for the level that it runs at. */
async function setLevel(folder: TsmFolder, name: string): Promise<number> {
  const floor = Number((await optional(folder, name, 'privlevel_floor')).toString('latin1'));
  if (!(floor > 0)) return 0;
  await folder.write(name, 'privlevel', Buffer.from(String(floor)));
  return 1;
}

/** Platforms that are to come, such as Arm CCA, are read by a program of the operator's. */
function ofDriver(driver: string): Pick<Evidence, 'kind' | 'format'> {
  if (driver === 'sev_guest') return { kind: 'sev-snp' };
  if (driver === 'tdx_guest') return { kind: 'tdx' };
  return { kind: 'command', format: driver.replaceAll('_', '-') };
}

function hostCertificates({ place }: TsmFolder, table: Buffer) {
  try {
    return certificatesOfTable(table);
  } catch (cause) {
    throw failed(place, 'the host’s table of certificates is not whole', cause);
  }
}

async function numberIn(folder: TsmFolder, name: string, attribute: string): Promise<number> {
  return Number((await folder.read(name, attribute)).toString('latin1'));
}

/** Not every driver and kernel has every attribute. */
async function optional(folder: TsmFolder, name: string, attribute: string): Promise<Buffer> {
  try {
    return await folder.read(name, attribute);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
}

const NEEDS: Readonly<Record<string, string>> = {
  ENOENT:
    'there is no such folder: it is in guests of SEV-SNP and TDX, on Linux 6.7 or newer with configfs mounted',
  ENXIO: 'no driver is loaded (sev-guest, tdx-guest)',
  EACCES: 'run this as root',
  EPERM: 'run this as root',
};

function asFailure({ place }: TsmFolder, why: string, cause: unknown): Error {
  const { code = '' } = cause as NodeJS.ErrnoException;
  if (code.startsWith('DAAS_')) return cause as Error;
  const need = NEEDS[code];
  return need === undefined ? failed(place, why, cause) : missing(place, need, cause);
}

import { readCertificate } from './certificate.ts';
import type { DevIdentity } from './dev-chain.ts';
import { devQuote } from './dev-intel.ts';
import { devSnp } from './dev-snp.ts';
import type { CollateralItem, Evidence } from './evidence.ts';
import type { TsmFolder } from './tsm-folder.ts';

/** A guest that this process pretends to be. */
export interface DevTsm extends TsmFolder {
  /** What the vendor would publish about the machine of the last report. */
  collateral(): readonly CollateralItem[];
  /** SHA-256 of the root of the last report, hexadecimal. */
  root(): string | undefined;
}

export interface DevTsmOptions {
  readonly kind: 'sev-snp' | 'tdx';
  readonly nowMs: number;
  /** Made for each report unless given. */
  readonly authority?: DevIdentity | undefined;
  /** The driver’s lowest privilege level. */
  readonly floor?: number;
  /** What happens to a request between its writes and its reads: another process writes, a host is slow. */
  readonly between?: (folder: TsmFolder, name: string) => Promise<void>;
}

interface Request {
  generation: number;
  level: number;
  input: Buffer;
  made: { readonly generation: number; readonly report: Buffer; readonly table: Buffer } | undefined;
}

type Made = Evidence & { readonly root: Buffer };

/**
 * The kernel's folder in memory, with its rules (drivers/virt/coco/guest/report.c, sev-guest.c, tdx-guest.c), in front of the development
 * PKI: real formats below a root of our own. It is a stand-in and never counts: every production policy refuses its root.
 */
export function devTsm(options: DevTsmOptions): DevTsm {
  const requests = new Map<string, Request>();
  let last: Made | undefined;
  const of = (name: string): Request => requests.get(name) ?? refuse('ENOENT');

  const report = async (request: Request): Promise<NonNullable<Request['made']>> => {
    if (request.input.length === 0) refuse('EINVAL');
    if (request.made?.generation === request.generation) return request.made;
    // Both drivers want all 64 bytes, whatever the documentation says.
    if (request.input.length !== 64) refuse('EINVAL');
    last = await evidenceOf(options, request.input);
    const { bytes } = last;
    const table = options.kind === 'sev-snp' ? tableOf(last.collateral) : Buffer.alloc(0);
    request.made = { generation: request.generation, report: Buffer.from(bytes), table };
    return request.made;
  };

  const readers: Readonly<Record<string, (request: Request) => Promise<Buffer> | Buffer>> = {
    generation: ({ generation }) => Buffer.from(`${generation}\n`),
    provider: () => Buffer.from(options.kind === 'sev-snp' ? 'sev_guest\n' : 'tdx_guest\n'),
    outblob: async (request) => (await report(request)).report,
    ...(options.kind === 'sev-snp' && {
      privlevel_floor: () => Buffer.from(`${options.floor ?? 0}\n`),
      auxblob: async (request: Request) => (await report(request)).table,
    }),
  };
  const writers: Readonly<Record<string, (request: Request, content: Buffer) => void>> = {
    inblob: (request, content) => {
      if (content.length > 64) refuse('EFBIG');
      request.input = content;
    },
    ...(options.kind === 'sev-snp' && {
      privlevel: (request: Request, content: Buffer) => {
        const level = Number(content.toString());
        if (level < (options.floor ?? 0) || level > 3) refuse('EINVAL');
        request.level = level;
      },
    }),
  };

  const folder: DevTsm = {
    place: 'the stand-in of a confidential guest',
    collateral: () => last?.collateral ?? [],
    root: () => last && readCertificate(last.root).fingerprint,
    async make(name) {
      if (requests.has(name)) refuse('EEXIST');
      requests.set(name, { generation: 0, level: 0, input: Buffer.alloc(0), made: undefined });
    },
    async write(name, attribute, content) {
      const request = of(name);
      const write = writers[attribute] ?? refuse(readers[attribute] ? 'EACCES' : 'ENOENT');
      write(request, Buffer.from(content));
      request.generation += 1;
      if (attribute === 'inblob') await options.between?.(folder, name);
    },
    async read(name, attribute) {
      const read = readers[attribute] ?? refuse(writers[attribute] ? 'EACCES' : 'ENOENT');
      return read(of(name));
    },
    async remove(name) {
      if (!requests.delete(name)) refuse('ENOENT');
    },
  };
  return folder;
}

async function evidenceOf(
  { kind, nowMs, authority: root }: DevTsmOptions,
  reportData: Buffer,
): Promise<Made> {
  return kind === 'sev-snp'
    ? devSnp({ nowMs, reportData, version: 3, root })
    : devQuote({ nowMs, reportData, root });
}

/** VCEK, ASK, ARK: GUIDs of AMD 56421. */
const GUIDS = [
  '63da758de6644564adc5f4b93be8accd',
  '4ab7b379bbac4fe4a02f05aef327c782',
  'c0b406a4a803495297433fb6014cd0ae',
] as const;

function tableOf(collateral: readonly CollateralItem[]): Buffer {
  const certificates = collateral.filter(({ name }) => name === 'certificate').map(({ content }) => content);
  const header = Buffer.alloc(24 * (certificates.length + 1));
  let offset = header.length;
  for (const [index, { length }] of certificates.entries()) {
    Buffer.from(GUIDS[index] ?? '', 'hex').copy(header, 24 * index);
    header.writeUInt32LE(offset, 24 * index + 16);
    header.writeUInt32LE(length, 24 * index + 20);
    offset += length;
  }
  return Buffer.concat([header, ...certificates]);
}

function refuse(code: string): never {
  throw Object.assign(new Error(`${code}: the stand-in of the kernel`), { code });
}

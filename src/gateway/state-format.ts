import { z } from 'zod';
import { ConfigurationError } from '#base';
import type { Change, Store } from '#state';
import { readStored } from './stored-record.ts';

/**
 * Grows with each change of a record that an earlier version does not read. Versions without this record wrote format 1.
 * With each number goes a state that such a version has written: src/gateway/states/.
 */
export const STATE_FORMAT = 2;

export const formatKey = '/format';

/** Members that a later version may add do not matter: the number is enough to refuse it. */
const StoredFormat = z.object({ version: z.number().int().positive() });

/** @throws `DAAS_STATE_NEWER`; `DAAS_GATEWAY_STORE_DAMAGED`. */
export function refuseNewer(value: unknown): void {
  if (value === undefined) return;
  const { version } = readStored(StoredFormat, { key: formatKey, value });
  if (version <= STATE_FORMAT) return;
  throw new ConfigurationError(
    'DAAS_STATE_NEWER',
    `the state has format ${version}, and this version reads up to ${STATE_FORMAT}: start the newer version of K3s-DaaS that wrote it, or restore a backup from before the upgrade`,
    { details: { format: version, known: STATE_FORMAT } },
  );
}

/** From now on earlier versions that know formats refuse the state. */
export async function writeFormat(store: Pick<Store, 'read' | 'write'>): Promise<void> {
  const found = await store.read(formatKey);
  refuseNewer(found);
  const current: Change = { key: formatKey, value: { version: STATE_FORMAT } };
  if (
    found === undefined ||
    readStored(StoredFormat, { key: formatKey, value: found }).version < STATE_FORMAT
  )
    await store.write([current]);
}

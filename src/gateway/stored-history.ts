import { z } from 'zod';
import type { NameHistory } from './name-history.ts';
import { Millis, orNull, readStored, storedRecord } from './stored-record.ts';

export const historyKey = (nodeId: string) => `/names/${nodeId}`;

/** As it is stored under `/names/<node_id>`. */
const StoredHistory = storedRecord({
  nodeId: ['node_id', z.string()],
  holders: [
    'holders',
    z
      .array(
        storedRecord({
          recordId: ['stake_record', z.string()],
          staker: ['staker', z.string()],
          holderKey: ['holder_key', z.string()],
          lastAtMs: ['last_at', Millis],
        }),
      )
      .readonly(),
  ],
  marks: [
    'marks',
    z
      .array(
        storedRecord({
          reason: ['reason', z.enum(['earlier-holder', 'claimed', 'unwatched'])],
          atMs: ['at', Millis],
        }),
      )
      .readonly(),
  ],
  releasedAtMs: ['released_at', orNull(Millis)],
});

export const storedHistory = (history: NameHistory): object => z.encode(StoredHistory, history);

/** @throws `DAAS_GATEWAY_STORE_DAMAGED`. */
export function readHistory(key: string, value: unknown): NameHistory {
  const keyOf = ({ nodeId }: NameHistory) => historyKey(nodeId);
  return readStored(StoredHistory, { key, value, keyOf });
}

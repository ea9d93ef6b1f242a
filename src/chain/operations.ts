import { changeCluster, createCluster, scheduleParameters } from './cluster-operations.ts';
import { addGateway, setGatewayStatus } from './gateway-operations.ts';
import { publish } from './publish-operation.ts';
import { expireSlash, proposeSlash, voteSlash } from './slash-operations.ts';

/**
 * Everything a wallet can do on chain besides its own stake (`createStakeChain`), by name:
 * `(await operations.proposeSlash.plan(actor, request)).execute()`.
 */
export const operations = {
  publish,
  createCluster,
  scheduleParameters,
  changeCluster,
  addGateway,
  setGatewayStatus,
  proposeSlash,
  voteSlash,
  expireSlash,
} as const;

import { changeCluster, createCluster, forceUnstake, scheduleParameters } from './cluster-operations.ts';
import { addGateway, registerAttestation, setGatewayStatus } from './gateway-operations.ts';
import { publish } from './publish-operation.ts';
import {
  answerSlash,
  cancelSlash,
  executeSlash,
  expireSlash,
  proposeSlash,
  retractSlashVote,
  voteSlash,
} from './slash-operations.ts';

/**
 * Everything a wallet can do on chain besides its own stake (`createStakeChain`), by name:
 * `(await operations.proposeSlash.plan(actor, request)).execute()`.
 */
export const operations = {
  publish,
  createCluster,
  scheduleParameters,
  changeCluster,
  forceUnstake,
  addGateway,
  setGatewayStatus,
  registerAttestation,
  proposeSlash,
  voteSlash,
  executeSlash,
  retractSlashVote,
  answerSlash,
  cancelSlash,
  expireSlash,
} as const;

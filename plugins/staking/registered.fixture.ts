import type { SealedStake, WorkerRegistered } from 'k3s-daas/plugin';

/** A registration of worker-1 with this stake. */
export const registeredWith = ({
  recordId,
  tokenId,
}: Pick<SealedStake, 'recordId' | 'tokenId'>): WorkerRegistered => ({
  nodeId: 'worker-1',
  recordId,
  sealTokenId: tokenId,
  gatewayId: '0xgateway',
  gatewayUrl: 'https://gateway.example.com:8443',
  incarnation: 1,
  heartbeatIntervalMs: 10_000,
  hasJoinCredential: false,
});

/** Fakes that the tests of every layer may use; `k3s-daas/plugin/testing` publishes those that a plugin's tests need. */
export {
  FakeChain,
  type FakeChainOptions,
  fakeGatewayEntry,
  fakeId,
  fakeParameters,
} from './fake-chain.ts';
export { FakeClock, settled } from './fake-clock.ts';
export { FakeKubernetes, type PortMethod } from './fake-kubernetes.ts';
export { memoryJournal } from './memory-journal.ts';
export { type LogRecord, RecordingLog } from './recording-log.ts';
export { type SealingPrograms, sealingPrograms } from './sealing-programs.ts';
export { seededRandom } from './seeded-random.ts';

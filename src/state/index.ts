export { type Backup, backupText, readBackup, refuseUnfinished, replaceAll } from './backup.ts';
export { type EtcdState, openEtcdState } from './etcd-state.ts';
export { addKey, type KeyRing, openKeyRing } from './key-ring.ts';
export { type KubernetesState, openKubernetesState } from './kubernetes-state.ts';
export { type Leadership, soleLeadership } from './leadership.ts';
export { isUnsealed, refuseSealed, type SealedEngine, sealAll, sealEngine } from './sealed-engine.ts';
export { openSqliteEngine } from './sqlite-engine.ts';
export { type Change, createStore, type Store, type StoredRecord, type StoreNews } from './store.ts';

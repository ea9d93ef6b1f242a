export { judgeAmount } from './staking/judge.ts';
export { judgeTerms } from './staking/terms.ts';

/** The built-in plugins by their name in the configuration. Each is loaded when it is listed. */
export const builtIns = {
  staking: () => import('./staking/index.ts'),
  registration: () => import('./registration/index.ts'),
  heartbeat: () => import('./heartbeat/index.ts'),
  slashing: () => import('./slashing/index.ts'),
  notifier: () => import('./notifier/index.ts'),
} as const;

/** Settings of the configuration file that are another name for a key of a plugin's own `config`. */
export const configAliases: ReadonlyArray<{
  readonly setting: string;
  readonly plugin: keyof typeof builtIns;
  readonly key: string;
}> = [
  { setting: 'stake.amountMist', plugin: 'staking', key: 'stakeMist' },
  { setting: 'stake.minimumMist', plugin: 'staking', key: 'minimumMist' },
  { setting: 'stake.acceptTerms', plugin: 'staking', key: 'acceptTerms' },
  { setting: 'join.gatewayUrl', plugin: 'registration', key: 'gatewayUrl' },
];

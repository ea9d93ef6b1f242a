/** The plugins that come with the host, by the name the configuration knows them by; each is loaded when it is listed. */
export const builtIns = {
  staking: () => import('./staking/index.ts'),
  registration: () => import('./registration/index.ts'),
  heartbeat: () => import('./heartbeat/index.ts'),
  slashing: () => import('./slashing/index.ts'),
} as const;

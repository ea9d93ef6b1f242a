import { inject } from 'vitest';
import type { SuiteWorld } from './world/suite-worlds.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Given by each project in vitest.config.ts. */
    world: keyof typeof worlds;
  }
}

/** Loaded when it is asked for: a world brings servers and binaries with it. */
const worlds = {
  standin: async (): Promise<SuiteWorld> => (await import('./standin/standin-world.ts')).standin,
  kube: async (): Promise<SuiteWorld> => (await import('./kube/kube-world.ts')).kube,
  real: async (): Promise<SuiteWorld> => (await import('./world/real-server.ts')).realServer,
};

/** The world of the project that runs this file. */
export const suiteWorld: SuiteWorld = await worlds[inject('world')]();

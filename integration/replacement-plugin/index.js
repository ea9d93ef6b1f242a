import { DaasError, definePlugin, errorFacts, SealTokenSource } from 'k3s-daas/plugin';

const never = () => new Promise(() => undefined);
const failure = () => {
  throw new DaasError('PLUGIN_POOL_BROKEN', 'the pool is broken', { exitCode: 75 });
};

/** A Standard Schema by hand: a plugin needs no validation library. */
const config = {
  '~standard': {
    version: 1,
    vendor: 'acme',
    validate(value) {
      const missing = ['recordId', 'tokenId'].filter((key) => typeof value[key] !== 'string');
      return missing.length > 0
        ? { issues: missing.map((key) => ({ message: 'expected an object id', path: [key] })) }
        : { value };
    },
  },
};

export default definePlugin({
  name: 'stake-pool',
  api: 1,
  config,
  async setup(scope) {
    const { fault, recordId, tokenId } = scope.config;
    const stake = { recordId, tokenId, stakeMist: 5n };
    if (fault === 'setup throws') failure();
    if (fault === 'setup leaks') {
      scope.on('agent.ready', () => undefined);
      scope.health(() => ({ live: true, ready: true, detail: 'forgotten' }));
      scope.release('the lease', () => scope.log.info('The lease is given back'));
      failure();
    }
    if (fault === 'setup hangs') await never();

    scope.provide(SealTokenSource, {
      find: async () => undefined,
      obtain: async () => {
        if (fault === 'call throws') failure();
        if (fault === 'call hangs') await never();
        return fault === 'call returns rubbish' ? { recordId, stakeMist: 5 } : stake;
      },
      preview: async () => ({ plan: `would borrow the stake ${recordId} from the pool` }),
    });

    if (fault === 'task throws')
      scope.run('renew-the-lease', async () => {
        try {
          failure();
        } catch (error) {
          // The shape is read, so that this works with any copy of the package.
          if (errorFacts(error).code !== 'PLUGIN_POOL_BROKEN') return;
          throw error;
        }
      });
    if (fault === 'task leaks') scope.run('renew-the-lease', never);
    if (fault === 'listener throws') scope.on('phase.entered', failure);
    if (fault === 'health throws') scope.health(failure);
    if (fault === 'release throws') scope.release('the lease', failure);
    if (fault === 'release hangs') scope.release('the lease', never);
  },
});

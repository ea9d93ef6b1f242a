import { describeKubernetesApi } from './kubernetes-api.suite.ts';
import { standinWorld } from './standin-world.ts';

describeKubernetesApi('the stand-in', standinWorld);

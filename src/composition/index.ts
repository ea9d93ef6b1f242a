export { Composition, type Factory } from './composition.ts';

/** An object id that a person can tell from others: `id('b1')` is `0xb1b1…`. */
export const id = (digits: string) => `0x${digits.repeat(64).slice(0, 64)}`;
export const CLUSTER_ID = id('c1');
export const GATEWAY_ID = id('9a');
export const STAKER = id('51');
export const SECOND_GATEWAY_ID = id('a2');

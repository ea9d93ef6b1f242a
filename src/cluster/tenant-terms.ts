/** Where the pods of people may run, the narrowest first. `own`: on nodes of the same wallet; `staked`: on staked nodes. */
export const PLACEMENTS = ['own', 'staked', 'any'] as const;
export type Placement = (typeof PLACEMENTS)[number];

/** Levels of Pod Security, the strictest first. */
export const POD_SECURITY_LEVELS = ['restricted', 'baseline', 'privileged'] as const;
export type PodSecurityLevel = (typeof POD_SECURITY_LEVELS)[number];

/** What the operator allows the keeper of people's namespaces: its policy and its rights are made from it. */
export interface TenantTerms {
  readonly placement: Placement;
  readonly podSecurity: PodSecurityLevel;
  /** ClusterRoles of the operator's own to which permissions are mapped. */
  readonly ownRoles: readonly string[];
  /** Namespaces whose stake has ended are removed after their grace. */
  readonly removesNamespaces: boolean;
}

/** What holds until the operator's configuration is known. */
export const strictTerms: TenantTerms = {
  placement: 'staked',
  podSecurity: 'restricted',
  ownRoles: [],
  removesNamespaces: false,
};

/** The values that are at least as strict as this one. */
export function atLeast<T extends string>(values: readonly T[], value: T): readonly T[] {
  return values.slice(0, values.indexOf(value) + 1);
}

/** Where gateways serve the join API. */
export const joinPaths = {
  prefix: '/join/v1/',
  nodes: '/join/v1/nodes',
  dryRun: '/join/v1/dry-run',
  refresh: '/join/v1/refresh',
} as const;

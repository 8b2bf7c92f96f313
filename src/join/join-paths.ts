/** Where gateways serve the join API. */
export const joinPaths = {
  prefix: '/join/v1/',
  nodes: '/join/v1/nodes',
  refresh: '/join/v1/refresh',
} as const;

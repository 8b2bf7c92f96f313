import type { KubeObject } from '../kube-client/types.ts';
import { addonNamespace, clusterRoleBinding } from './manifest.ts';
import type { Addon } from './types.ts';

/** What nodes and the API server may do to each other. Not to be switched off: no cluster works without it. */
export const nodeRbac: Addon = {
  name: 'node-rbac',
  isEnabled: () => true,
  planStack: () => ({
    name: 'node-rbac',
    objects: [
      // kube-apiserver's client certificate towards kubelets: logs, exec, metrics.
      clusterRoleBinding({
        name: 'mini-k8s:kubelet-api-admin',
        role: 'system:kubelet-api-admin',
        subject: { kind: 'Group', name: 'mini-k8s:kubelet-clients' },
      }),
      // A machine with a worker's token may ask for a node's certificate. Whether it gets one, and every renewal, is
      // decided by mini-k8s, which knows who joined: upstream's bindings approve any name for any token.
      clusterRoleBinding({
        name: 'mini-k8s:kubelet-bootstrap',
        role: 'system:node-bootstrapper',
        subject: { kind: 'Group', name: 'system:bootstrappers:mini-k8s:worker' },
      }),
      // kube-proxy and the tunnel's agent on a worker use the kubelet's certificate.
      clusterRoleBinding({
        name: 'mini-k8s:node-proxier',
        role: 'system:node-proxier',
        subject: { kind: 'Group', name: 'system:nodes' },
      }),
      ...removedNodePolicy(),
      ...podNetworkPolicy(),
    ],
  }),
};

/** A node that `mini-k8s node remove` removed has a valid certificate for a while: it may not register again. */
function removedNodePolicy(): KubeObject[] {
  const name = 'mini-k8s-removed-nodes';
  return [
    admissionPolicy(name, {
      // The record of each removed node is one parameter.
      paramKind: { apiVersion: 'v1', kind: 'ConfigMap' },
      operations: ['CREATE'],
      expression: "params.metadata.name != 'mini-k8s-node-' + object.metadata.name",
      messageExpression:
        "'node ' + object.metadata.name + ' was removed from the cluster: it has to join again with a fresh token'",
    }),
    admissionBinding(name, {
      paramRef: {
        namespace: addonNamespace,
        selector: { matchLabels: { 'mini-k8s.io/removed': 'true' } },
        // As long as no node was removed there is none.
        parameterNotFoundAction: 'Allow',
      },
    }),
  ];
}

/**
 * The tunnel sends what is for a pod to the node whose pod network it is in, so a kubelet must not choose its own. It
 * never does: the controller-manager gives the networks out.
 */
function podNetworkPolicy(): KubeObject[] {
  const name = 'mini-k8s-node-pod-networks';
  const networksOf = (node: string) => `(has(${node}.spec.podCIDRs) ? ${node}.spec.podCIDRs : [])`;
  return [
    admissionPolicy(name, {
      operations: ['CREATE', 'UPDATE'],
      expression: `${networksOf('object')} == (request.operation == 'CREATE' ? [] : ${networksOf('oldObject')})`,
      messageExpression: "'a kubelet may not choose the pod network of its node'",
    }),
    admissionBinding(name, {}),
  ];
}

interface NodeRule {
  readonly paramKind?: Readonly<Record<string, string>>;
  readonly operations: readonly string[];
  /** What must be true. */
  readonly expression: string;
  readonly messageExpression: string;
}

/** @see https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/ */
function admissionPolicy(name: string, rule: NodeRule): KubeObject {
  const { paramKind, operations, expression, messageExpression } = rule;
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name },
    spec: {
      failurePolicy: 'Fail',
      ...(paramKind === undefined ? {} : { paramKind }),
      // One value, with what the server would fill in: otherwise each apply is a write.
      matchConstraints: {
        matchPolicy: 'Equivalent',
        namespaceSelector: {},
        objectSelector: {},
        resourceRules: [
          { apiGroups: [''], apiVersions: ['v1'], operations, resources: ['nodes'], scope: '*' },
        ],
      },
      matchConditions: [
        {
          name: 'by-a-kubelet',
          expression: "request.userInfo.username.startsWith('system:node:')",
        },
      ],
      validations: [{ expression, messageExpression, reason: 'Forbidden' }],
    },
  };
}

function admissionBinding(policyName: string, spec: Record<string, unknown>): KubeObject {
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingAdmissionPolicyBinding',
    metadata: { name: policyName },
    spec: { policyName, validationActions: ['Deny'], ...spec },
  };
}

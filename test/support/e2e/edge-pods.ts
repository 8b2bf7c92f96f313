import { edgeNames } from './edge-sites.ts';
import { testPod } from './objects.ts';

export const edgeNamespace = 'edge';

/**
 * What each worker runs, under the worker's name: a pod that says so when it starts, counts aloud once a second and
 * serves it on port 8080, with a Service; and `<name>-ear`, which repeats what it hears and ends when nobody talks.
 */
export function edgePods(): readonly unknown[] {
  return edgeNames.flatMap((name) => [talker(name), ear(name), serviceOf(name)]);
}

function talker(name: string) {
  const script = `
    ln -s /bin/busybox /bin/tar
    mkdir -p /www
    echo 'this is ${name}' | tee /www/index.html
    httpd -p 8080 -h /www
    while :; do count=$((count + 1)); echo "${name} $count"; sleep 1; done`;
  const pod = testPod({ name, namespace: edgeNamespace, command: ['sh', '-c', script] });
  return { ...pod, spec: { ...pod.spec, nodeName: name } };
}

function ear(name: string) {
  const script = `while read -r line; do echo "${name} heard $line"; done`;
  const pod = testPod({
    name: `${name}-ear`,
    namespace: edgeNamespace,
    command: ['sh', '-c', script],
  });
  const containers = pod.spec.containers.map((container) => ({
    ...container,
    stdin: true,
    stdinOnce: true,
  }));
  return { ...pod, spec: { ...pod.spec, containers, nodeName: name } };
}

function serviceOf(name: string) {
  const ports = [{ port: 8080, targetPort: 8080 }];
  const spec = { selector: { app: name }, ports };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace: edgeNamespace }, spec };
}

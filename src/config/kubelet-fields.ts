/** The Kubernetes whose kubelet has these fields. */
export const kubeletFieldsVersion = '1.37';

/**
 * Every field of KubeletConfiguration. A kubelet leaves others out without a word, so that one mistyped does nothing.
 * @see https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
 */
export const kubeletFields: readonly string[] = [
  ...['address', 'allowedUnsafeSysctls', 'apiVersion', 'authentication', 'authorization'],
  ...['cgroupDriver', 'cgroupRoot', 'cgroupsPerQOS', 'clusterDNS', 'clusterDomain'],
  ...['configMapAndSecretChangeDetectionStrategy', 'containerLogMaxFiles'],
  ...['containerLogMaxSize', 'containerLogMaxWorkers', 'containerLogMonitorInterval'],
  ...['containerRuntimeEndpoint', 'contentType', 'cpuCFSQuota', 'cpuCFSQuotaPeriod'],
  ...['cpuManagerPolicy', 'cpuManagerPolicyOptions', 'cpuManagerReconcilePeriod'],
  ...['crashLoopBackOff', 'defaultPodSysctls', 'enableContentionProfiling'],
  ...['enableControllerAttachDetach', 'enableDebugFlagsHandler', 'enableDebuggingHandlers'],
  ...['enableProfilingHandler', 'enableServer', 'enableSystemLogHandler'],
  ...['enableSystemLogQuery', 'enforceNodeAllocatable', 'eventBurst', 'eventRecordQPS'],
  ...['evictionHard', 'evictionMaxPodGracePeriod', 'evictionMinimumReclaim'],
  ...['evictionPressureTransitionPeriod', 'evictionSoft', 'evictionSoftGracePeriod'],
  ...['failCgroupV1', 'failSwapOn', 'featureGates', 'fileCheckFrequency', 'hairpinMode'],
  ...['healthzBindAddress', 'healthzPort', 'httpCheckFrequency', 'imageGCHighThresholdPercent'],
  ...['imageGCLowThresholdPercent', 'imageMaximumGCAge', 'imageMinimumGCAge'],
  ...['imagePullCredentialsVerificationPolicy', 'imageServiceEndpoint', 'iptablesDropBit'],
  ...['iptablesMasqueradeBit', 'kernelMemcgNotification', 'kind', 'kubeAPIBurst', 'kubeAPIQPS'],
  ...['kubeReserved', 'kubeReservedCgroup', 'kubeletCgroups', 'localStorageCapacityIsolation'],
  ...['logging', 'makeIPTablesUtilChains', 'maxOpenFiles', 'maxParallelImagePulls', 'maxPods'],
  ...['memoryManagerPolicy', 'memoryReservationPolicy', 'memorySwap', 'memoryThrottlingFactor'],
  ...['mergeDefaultEvictionSettings', 'nodeLeaseDurationSeconds', 'nodeStatusMaxImages'],
  ...['nodeStatusReportFrequency', 'nodeStatusUpdateFrequency', 'oomScoreAdj', 'podCIDR'],
  ...['podLogsDir', 'podPidsLimit', 'podsPerCore', 'port'],
  ...['preloadedImagesVerificationAllowlist', 'protectKernelDefaults', 'providerID'],
  ...['qosReserved', 'readOnlyPort', 'registerNode', 'registerWithTaints', 'registryBurst'],
  ...['registryPullQPS', 'reservedMemory', 'reservedSystemCPUs', 'resolvConf'],
  ...['rotateCertificates', 'runOnce', 'runtimeRequestTimeout', 'seccompDefault'],
  ...['serializeImagePulls', 'serverTLSBootstrap', 'showHiddenMetricsForVersion'],
  ...['shutdownGracePeriod', 'shutdownGracePeriodByPodPriority'],
  ...['shutdownGracePeriodCriticalPods', 'singleProcessOOMKill', 'staticPodPath'],
  ...['staticPodURL', 'staticPodURLHeader', 'streamingConnectionIdleTimeout', 'syncFrequency'],
  ...['systemCgroups', 'systemReserved', 'systemReservedCgroup', 'tlsCertFile'],
  ...['tlsCipherSuites', 'tlsCurvePreferences', 'tlsMinVersion', 'tlsPrivateKeyFile'],
  ...['topologyManagerPolicy', 'topologyManagerPolicyOptions', 'topologyManagerScope'],
  ...['tracing', 'userNamespaces', 'volumePluginDir', 'volumeStatsAggPeriod'],
];

module mini-k8s.io/test/api-in-a-pod

go 1.21

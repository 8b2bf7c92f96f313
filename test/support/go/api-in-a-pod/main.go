// A pod that kube-apiserver asks: a validating webhook at /validate, and an API of its own at /apis/GROUP/v1 with one
// object of one kind. Arguments: what it calls itself in its answers, its API group, the directory of tls.crt and tls.key.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
	"path/filepath"
)

type object = map[string]any

type review struct {
	Request struct {
		UID    string `json:"uid"`
		Object struct {
			Metadata struct {
				Labels map[string]string `json:"labels"`
			} `json:"metadata"`
		} `json:"object"`
	} `json:"request"`
}

func main() {
	name, group, directory := os.Args[1], os.Args[2], os.Args[3]
	version := group + "/v1"
	http.HandleFunc("/validate", func(w http.ResponseWriter, r *http.Request) {
		var asked review
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, isUnwanted := asked.Request.Object.Metadata.Labels["unwanted"]
		answer(w, object{
			"apiVersion": "admission.k8s.io/v1",
			"kind":       "AdmissionReview",
			"response": object{
				"uid":     asked.Request.UID,
				"allowed": !isUnwanted,
				"status":  object{"message": name + " does not want it"},
			},
		})
	})
	http.HandleFunc("/apis/"+version, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, object{
			"apiVersion":   "v1",
			"kind":         "APIResourceList",
			"groupVersion": version,
			"resources": []object{{
				"name":         "greetings",
				"singularName": "greeting",
				"namespaced":   false,
				"kind":         "Greeting",
				"verbs":        []string{"get"},
			}},
		})
	})
	http.HandleFunc("/apis/"+version+"/greetings/hello", func(w http.ResponseWriter, r *http.Request) {
		answer(w, object{
			"apiVersion": version,
			"kind":       "Greeting",
			"metadata":   object{"name": "hello"},
			"from":       name,
			"askedBy":    r.Header.Get("X-Remote-User"),
		})
	})
	log.Fatal(http.ListenAndServeTLS(":8443", filepath.Join(directory, "tls.crt"), filepath.Join(directory, "tls.key"), nil))
}

func answer(w http.ResponseWriter, body object) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Print(err)
	}
}

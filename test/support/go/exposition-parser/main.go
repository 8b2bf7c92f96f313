// Prometheus' own parser of its text format, for tests: what comes on standard input goes out as JSON, one object with
// the families by name. It ends with exit code 1 and the parser's words when the text is not of the format.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protojson"
)

func main() {
	if err := convert(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func convert() error {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(os.Stdin)
	if err != nil {
		return err
	}
	// Unlike encoding/json this knows infinity, the last bucket of every histogram.
	marshal := protojson.MarshalOptions{UseProtoNames: true}
	named := map[string]json.RawMessage{}
	for name, family := range families {
		if named[name], err = marshal.Marshal(family); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(named)
}

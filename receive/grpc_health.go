package receive

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/clewtrace/clew/wire"
)

// healthMethod is what Kubernetes' probes of gRPC, load balancers and grpc_health_probe call.
//
// Source: gRPC's "GRPC Health Checking Protocol".
const healthMethod = "/grpc.health.v1.Health/Check"

// health answers that a service serves, or that there is none of its name. It takes neither a turn nor memory that others compete for: a server that has much to
// do must not be taken for a dead one.
func (c *Calls) health(req *http.Request) outcome {
	const most = 1 << 10 // bytes of a name and what is around it
	in, err := io.ReadAll(io.LimitReader(req.Body, most))
	if err != nil || len(in) < 5 || in[0] != 0 || int(binary.BigEndian.Uint32(in[1:])) != len(in)-5 {
		return outcome{code: codes.Internal, text: "not one small message without compression"}
	}
	f, name := wire.NewFields(in[5:]), ""
	for f.Next() {
		if f.ID == 1<<3|wire.Length {
			name = string(f.Body)
		}
	}
	if f.Broken {
		return outcome{code: codes.Internal, text: "broken message"}
	}
	if name != "" && !c.has(name) {
		return outcome{code: codes.NotFound, text: fmt.Sprintf("there is no service %.100q here", name)}
	}
	return outcome{answer: []byte{1 << 3, 1}} // status: SERVING
}

// has reports whether a service of a name, with its package, has one of the methods.
func (c *Calls) has(service string) bool {
	for method := range c.Methods {
		if strings.HasPrefix(method, "/"+service+"/") {
			return true
		}
	}
	return false
}

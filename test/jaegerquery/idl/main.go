// Command idl asks a server Jaeger's query API over gRPC: version 2 with the client that jaeger-idl generates, version 3 with messages made of
// its .proto files, all with grpc-go. Each line of the input is a call, each of the output its answer:
//
//	{"call": "v3/GetTrace", "request": {"traceId": "ab"}}
//	{"code": "OK", "messages": [{"resourceSpans": [...]}], "largest": 1234}
//
// It is a module of its own: Clew needs none of what it needs.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type call struct {
	Call    string          `json:"call"`
	Request json.RawMessage `json:"request"`
	Timeout string          `json:"timeout,omitempty"`
	Header  []string        `json:"header,omitempty"` // names and values
	Stop    int             `json:"stop,omitempty"`   // after how many messages the client goes away; 0: never
}

type answer struct {
	Code     string            `json:"code"`
	Text     string            `json:"text,omitempty"`
	Messages []json.RawMessage `json:"messages"`
	Largest  int               `json:"largest"` // bytes of a message
}

// add adds a message.
func (a *answer) add(raw []byte, size int) {
	a.Messages, a.Largest = append(a.Messages, raw), max(a.Largest, size)
}

func run() error {
	ca := flag.String("ca", "", "PEM file of the authority that signed the server's certificate; empty: no TLS")
	set := flag.String("descriptors", "", "write the descriptors of the services to this file, and do nothing else")
	flag.Parse()
	if *set != "" {
		v3, err := compile()
		if err != nil {
			return err
		}
		b, err := descriptors(v3.files)
		return errors.Join(err, os.WriteFile(*set, b, 0o644))
	}
	creds := insecure.NewCredentials()
	if *ca != "" {
		var err error
		if creds, err = credentials.NewClientTLSFromFile(*ca, ""); err != nil {
			return err
		}
	}
	conn, err := grpc.NewClient(flag.Arg(0), grpc.WithTransportCredentials(creds))
	if err != nil {
		return err
	}
	defer conn.Close()
	v2, err := grpc.NewClient(flag.Arg(0), grpc.WithTransportCredentials(creds), grpc.WithDefaultCallOptions(grpc.ForceCodec(gogo{})))
	if err != nil {
		return err
	}
	defer v2.Close()
	v3, err := compile()
	if err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var c call
		if err := json.Unmarshal(line, &c); err != nil {
			return err
		}
		a := answer{Messages: []json.RawMessage{}}
		if strings.HasPrefix(c.Call, "v2/") {
			err = ask(v2, v3, &c, &a)
		} else {
			err = ask(conn, v3, &c, &a)
		}
		s, ok := status.FromError(err)
		if !ok {
			return err
		}
		a.Code, a.Text = s.Code().String(), s.Message()
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

func ask(conn *grpc.ClientConn, v3 *service, c *call, a *answer) error {
	timeout := time.Minute
	if c.Timeout != "" {
		var err error
		if timeout, err = time.ParseDuration(c.Timeout); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), c.Header...), timeout)
	defer cancel()
	switch {
	case strings.HasPrefix(c.Call, "v3/"):
		return v3.ask(ctx, conn, c, a)
	case strings.HasPrefix(c.Call, "reflection/"):
		return learn(ctx, conn, c.Call[len("reflection/"):], a)
	case c.Call == "health":
		resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: string(c.Request[1 : len(c.Request)-1])})
		if err == nil {
			a.add(fmt.Appendf(nil, "%q", resp.Status), 0)
		}
		return err
	}
	return askV2(ctx, conn, c, a)
}

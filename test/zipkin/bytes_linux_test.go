package zipkin_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// question is one request. Where Clew answers otherwise than Zipkin's server, on purpose, clew is its status and the beginning of its text; the reasons
// are in docs/compatibility.md.
type question struct {
	method, path string // method: GET if empty
	clew         string
}

// answer is what a client sees of one.
type answer struct {
	status  int
	headers string // those that matter
	body    string
}

// bytesAlike asks both servers the same questions over the same spans, good and bad ones, and compares what comes back byte for byte.
func bytesAlike(t *testing.T, peers []*peer, now time.Time) {
	at := now.Add(-5 * time.Hour).UnixMilli()
	for _, trace := range storedTraces(at) {
		for _, p := range peers {
			p.must(t, "/api/v2/spans", "application/json", []byte(trace))
		}
	}
	window := fmt.Sprintf("endTs=%d&lookback=3600000", at+60_000)
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) { // Zipkin's server answers before it stores
		if _, text := peers[0].get(t, "/api/v2/traces?"+window); strings.Count(text, `[{"traceId"`) == 3 {
			break
		}
		if time.Since(begin) > time.Minute {
			t.Fatal("Zipkin's server has not stored three traces")
		}
	}
	for _, line := range []string{"messages.http\" : 3.0", "messages_dropped.http\" : 0.0", "spans.http\" : 7.0", "spans_dropped.http\" : 0.0"} {
		for _, p := range peers {
			if status, text := p.get(t, "/metrics"); status != http.StatusOK || !strings.Contains(text, `"counter.zipkin_collector.`+line) {
				t.Errorf("%s's metrics are without %s: %d %s", p.name, line, status, text)
			}
		}
	}
	for _, q := range questions() {
		q.path = strings.NewReplacer("W&", window+"&", "T1", traceOne, "T2", traceTwo, "T3", traceThree).Replace(strings.TrimSuffix(q.path, "?W"))
		z, c := peers[0].ask(t, q), peers[1].ask(t, q)
		switch {
		case q.clew != "":
			if got := fmt.Sprint(c.status, " ", c.body); !strings.HasPrefix(got, q.clew) || z == c {
				t.Errorf("%s %s: Clew says %.300q, Zipkin %.300q; want %q of Clew alone", q.method, q.path, got, fmt.Sprint(z), q.clew)
			}
		case strings.HasPrefix(z.body, "Status: ") && strings.Replace(c.headers, "Access-Control-Allow-Origin: *; ", "", 1) == z.headers && c.status == z.status && c.body == z.body:
			// What does not reach Zipkin's API, a broken query, a page of another origin may not read there.
		case z != c:
			t.Errorf("%s %s\nZipkin %d %s %q\nClew   %d %s %q", q.method, q.path, z.status, z.headers, z.body, c.status, c.headers, c.body)
		}
	}
}

const traceOne, traceTwo, traceThree = "00000000000000010000000000000001", "00000000000000a2", "463ac35c9f6413ad48485a3953bb6124"

// storedTraces are three traces, of four services, from a time in ms on.
func storedTraces(at int64) []string {
	span := func(trace, id, rest string, n int64) string {
		return fmt.Sprintf(`{"traceId":%q,"id":"000000000000000%s","timestamp":%d,%s}`, trace, id, (at+n)*1000, rest)
	}
	const front = `"name":"get /","localEndpoint":{"serviceName":"front","ipv4":"10.0.0.1","port":8080}`
	return []string{
		"[" + span(traceOne, "1", front+fmt.Sprintf(`,"kind":"SERVER","duration":1000,"tags":{"zz":"<&> é \"\\ \n\u0001","http.method":"GET","http.path":"/","a":""},`+
			`"annotations":[{"timestamp":%d,"value":"ws"},{"timestamp":%d,"value":"b \"q\""}]`, (at+2)*1000, (at+1)*1000), 1) + "," +
			span(traceOne, "2", front+`,"parentId":"0000000000000001","kind":"CLIENT","duration":2000,"remoteEndpoint":{"serviceName":"cart","ipv4":"10.0.0.2","port":80},"tags":{"error":"timeout"}`, 2) + "," +
			span(traceOne, "2", `"name":"cart","parentId":"0000000000000001","kind":"SERVER","shared":true,"duration":1500,"localEndpoint":{"serviceName":"cart","ipv6":"2001:db8::1"}`, 3) + "]",
		"[" + span(traceTwo, "1", `"duration":1000,"localEndpoint":{"serviceName":"front"},"debug":true`, 4) + "," +
			span(traceTwo, "5", `"name":"no duration","localEndpoint":{"serviceName":"mail"}`, 5) + "]",
		"[" + span(traceThree, "7", front+`,"kind":"PRODUCER","duration":7000,"remoteEndpoint":{"serviceName":"kafka"}`, 6) + "," +
			span(traceThree, "8", `"name":"take","parentId":"0000000000000007","kind":"CONSUMER","duration":8000,"localEndpoint":{"serviceName":"stock"},"remoteEndpoint":{"serviceName":"kafka"}`, 7) + "]",
	}
}

// ask sends a question as a page of another origin does.
func (p *peer) ask(t *testing.T, q question) answer {
	t.Helper()
	path, query, _ := strings.Cut(q.path, "?")
	base, err := url.Parse(p.http)
	if err != nil {
		t.Fatal(err)
	}
	method, asked, preflight := strings.Cut(q.method, " for ")
	req := &http.Request{Method: method, Host: base.Host, URL: &url.URL{Scheme: "http", Host: base.Host, Opaque: path, RawQuery: query}, Header: http.Header{"Origin": {"http://elsewhere"}}}
	if preflight {
		req.Header.Set("Access-Control-Request-Method", asked)
	}
	resp, err := (&http.Transport{DisableKeepAlives: true, DisableCompression: true}).RoundTrip(req.WithContext(t.Context())) // follows no redirects
	if err != nil {
		t.Fatalf("%s %s: %v", p.name, q.path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", p.name, q.path, err)
	}
	a := answer{status: resp.StatusCode, body: string(body)}
	for _, name := range []string{"Content-Type", "Cache-Control", "Access-Control-Allow-Origin", "Access-Control-Max-Age", "Location"} {
		v := resp.Header.Get(name)
		if v == "text/*" { // as which Zipkin's server sends refusals: there is no such type
			v = "text/plain; charset=utf-8"
		}
		if v != "" {
			a.headers += name + ": " + v + "; "
		}
	}
	return a
}

// questions returns all that are asked. In paths W is the time of the traces, T1 to T3 are their IDs.
func questions() []question {
	var out []question
	add := func(prefix string, list ...string) {
		for _, s := range list {
			path, clew, _ := strings.Cut(s, "  ") // two spaces, which no path has
			out = append(out, question{path: prefix + path, clew: clew})
		}
	}
	add("/api/v2/", "services", "services?x=y", "nothing", "", "services/", "Services", "trace", "trace/", "trace/a/b")
	for _, call := range []string{"spans", "remoteServices"} {
		add("/api/v2/"+call, "", "?", "?serviceName", "?serviceName=", "?serviceName=front", "?serviceName=cart", "?serviceName=nobody", "?serviceName=front&serviceName=cart",
			"?serviceName=nobody&serviceName=front", "?servicename=front", "?service%4eame=front", "?serviceName=+front", "?serviceName=%00", "?serviceName=%7f", "?serviceName=%zz", "?serviceName=%",
			"?serviceName=%0a", "?serviceName=%1b", "?serviceName=%1f", "?serviceName=front;b", "?a;serviceName=front", "?serviceName=front&&x", "?&serviceName=front", "?serviceName=fr%c3%28nt", "?serviceName=%3Cscript%3E", "?serviceName="+strings.Repeat("x", 4000))
	}
	add("/api/v2/spans", "?serviceName=FRONT  200 []")
	add("/api/v2/traces?W&", "", "limit=1", "limit=2", "limit=10", "limit=0", "limit=-1", "limit=", "limit=x", "limit=1.5", "limit=%2B1", "limit=+1", "limit=01", "limit=0x1", "limit=a%FFb", "limit=%3Cscript%3E", "limit=1e3", "limit=%D9%A1  400 For",
		"limit=2147483647", "limit=2147483648", "limit=-2147483649", "limit=9223372036854775808", "limit="+strings.Repeat("9", 400), "limit=1&limit=2", "limit=x&limit=2", "limit=2&limit=x",
		"minDuration=", "minDuration=0", "minDuration=-1", "minDuration=x", "minDuration=1", "minDuration=1000", "minDuration=1001", "minDuration=7001", "minDuration=9223372036854775807", "minDuration=9223372036854775808",
		"maxDuration=", "maxDuration=1", "maxDuration=0", "maxDuration=-1", "maxDuration=x", "minDuration=1000&maxDuration=1000", "minDuration=1000&maxDuration=999", "minDuration=1&maxDuration=0", "minDuration=0&maxDuration=-1",
		"minDuration=1&maxDuration=9223372036854775807", "minDuration=&maxDuration=5",
		"serviceName=", "serviceName=front", "serviceName=cart", "serviceName=nobody", "serviceName=front&serviceName=nobody", "serviceName=nobody&serviceName=front", "serviceName=%20front", "serviceName=all",
		"spanName=", "spanName=all", "spanName=cart", "spanName=get+/", "spanName=get%20/", "spanName=nothing", "serviceName=cart&spanName=get+/", "serviceName=mail&spanName=no+duration",
		"remoteServiceName=", "remoteServiceName=kafka", "remoteServiceName=cart", "remoteServiceName=nobody", "remoteServiceName=all", "serviceName=stock&remoteServiceName=kafka", "serviceName=cart&remoteServiceName=kafka",
		"unknown=1", "%zz=1", "x=%00")
	add("/api/v2/traces?W&annotationQuery=", "", "+", "error", "error%3D", "error%3Dtimeout", "error%3Dx", "error%3Dtrue  200 [[{", "ws", "WS", "w", "ws+and+error", "ws+and+", "+and+ws", "and", "+and+and+ws", "ws+AND+error", "ws+or+error",
		"%3D", "%3Dx", "%3D+and+ws", "a", "a%3D", "a+", "+a", "b+%22q%22", "zz", "zz%3D%3C%26%3E+%C3%A9+%22%5C", "zz%3D%01", "http.path%3D%2F", "http.path%3D%2F%3D", "http.path%3D%2F+and+http.path%3D%2F", "http.path+and+http.path%3D%2F",
		"http.path%3D%2F+and+http.path", "http.path%3Dnone+and+http.path%3D%2F", "http.path%3D%2F+and+http.path%3Dnone", "http.path++%3D++%2F++", "http.path%3D%2F++and++ws", "http.path=/", "ws&annotationQuery=nothing", "ws&serviceName=cart",
		"error&serviceName=front", strings.Repeat("ws+and+", 99)+"error", strings.Repeat("ws+and+", 99)+"nothing", strings.Repeat("ws+and+", 99)+"ws+and+error", strings.Repeat("a+and+", 1500)+"  200 []")
	add("/api/v2/traces?", "", "endTs=", "endTs=0", "endTs=-1", "endTs=x", "endTs=1", "endTs=1&lookback=5", "endTs=9223372036854775808", "lookback=", "lookback=0", "lookback=-5", "lookback=x", "lookback=1h", "lookback=1",
		"lookback=9223372036854775808", "endTs=0&lookback=0&limit=0", "lookback=0&limit=0", "limit=0&minDuration=0", "lookback=0&minDuration=0", "minDuration=x&limit=y&endTs=z&lookback=q&maxDuration=p",
		"maxDuration=p&limit=y&lookback=q&endTs=z", "limit=y&lookback=q&endTs=z", "limit=y&lookback=q", "limit=&lookback=0",
		// Here Zipkin's server counts in microseconds beyond what 64 bits hold, and finds nothing.
		"endTs=9223372036854775807&lookback=9223372036854775807  200 [[{", "lookback=9223372036854775807  200 [[{")
	add("/api/v2/trace/", "T1", "T2", "T3", "a2", "00a2", "%20a2", "a2%20", "%09a2", "48485a3953bb6124", "1", "10000000000000001", "0", "00000000000000000000000000000000", "x", "abcX", "%20", "a%2Fb", "a%20b", "%2500", "0x12", "%C3%A9", "-1",
		"123456789012345678901234567890123", strings.Repeat("a", 5000)+"  400 traceId.length > 32", "a%FFb", "T1?raw", "T1?x=%zz", "463AC35C9F6413AD48485A3953BB6124  200 [{")
	add("/api/v2/traceMany", "", "?", "?traceIds", "?traceIds=", "?traceIds=1", "?traceIds=T1", "?traceIds=1,1", "?traceIds=T1,T2", "?traceIds=T2,T1", "?traceIds=T3,T1,T2", "?traceIds=T1,1", "?traceIds=1,2", "?traceIds=T1,T1",
		"?traceIds=a2,00000000000000a2", "?traceIds=a,", "?traceIds=,a", "?traceIds=,", "?traceIds=,,", "?traceIds=a,,b", "?traceIds=a,x", "?traceIds=x,a", "?traceIds=a,+b", "?traceIds=%20", "?traceIds=a,0", "?traceIds=a&traceIds=b",
		"?traceIds=a%2Cb", "?traceIds=a;b", "?traceIds=a,123456789012345678901234567890123", "?traceIds=%zz", "?ids=a,b")
	add("/api/v2/dependencies", "", "?", "?endTs", "?endTs=", "?endTs=x", "?endTs=0", "?endTs=-1", "?endTs=1", "?endTs=9223372036854775808", "?endTs=1&lookback=0", "?endTs=1&lookback=-1", "?endTs=1&lookback=x", "?endTs=1&lookback=",
		"?lookback=1", "?lookback=x", "?endTs=x&lookback=y", "?endTs=0&lookback=0", "?endTs=1&endTs=x", "?endTs=1;lookback=x",
		// In order of names here; Zipkin's have none.
		`?W&x  200 [{"parent":"front","child":"cart","callCount":1},{"parent":"front","child":"kafka","callCount":1},{"parent":"kafka","child":"stock","callCount":1}]`)
	add("/api/v2/autocompleteValues", "", "?", "?key", "?key=", "?key=none", "?key=site", "?key=http.method", "?key=http.method&key=site", "?Key=site", "?key=%00")
	add("/api/v2/autocompleteKeys", `  200 ["a",`)
	add("/zipkin/api/v2/", "services", "spans", "spans?serviceName=front", "trace/T1", "trace/x", "traces?W&limit=2", "traces?limit=0", "traceMany", "dependencies", "autocompleteValues?key=", "nothing")
	add("", "/zipkin/config.json", "/", "/zipkin", "/?serviceName=a%2Fb", "/zipkin?a=b&c", "/config.json  404", "/health  200 {\n  \"status\" : \"UP\",\n  \"zipkin\" : {\n    \"status\" : \"UP\",",
		`/info  200 {"zipkin":{"version":"3.6.1"},"clew":`, "/zipkin/  200 <!doctype html>", "/zipkin/traces/T1  200 <!doctype html>", "/traces/T1  302 ")
	for _, path := range []string{"/api/v2/services", "/api/v2/traces", "/api/v2/trace/x", "/api/v2/spans", "/api/v1/spans"} {
		for _, method := range []string{"PUT", "DELETE", "PATCH"} {
			q := question{method: method, path: path}
			if strings.HasSuffix(path, "v1/spans") {
				q.clew = "405 Method Not Allowed"
			}
			out = append(out, q)
		}
		if !strings.HasSuffix(path, "/spans") {
			out = append(out, question{method: "POST", path: path}, question{method: "OPTIONS", path: path}, question{method: "OPTIONS for GET", path: path})
		}
	}
	return out
}

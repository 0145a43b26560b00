// Sends one span with a client of Jaeger or of Zipkin over HTTPS, or asks for the page and what it shows as a browser does.
//
//   node send.js jaeger|zipkin URL [AUTHORIZATION]
//   node send.js page URL [AUTHORIZATION]
//
// The authority that signed the server's certificate is in NODE_EXTRA_CA_CERTS. Fails if the server does not take it.
"use strict";

const [client, url, authorization] = process.argv.slice(2);

function jaeger() {
  // Its password goes into the URL; a token has no place there.
  const { initTracer } = require("jaeger-client");
  const options = { logger: { info() {}, error: (message) => fail(message) } };
  const [user, password] = Buffer.from((authorization ?? "").replace("Basic ", ""), "base64").toString().split(":");
  const reporter = { collectorEndpoint: url, username: user, password };
  const tracer = initTracer({ serviceName: "jaeger-client", sampler: { type: "const", param: 1 }, reporter }, options);
  tracer.startSpan("over https").finish();
  tracer.close();
}

function zipkin() {
  const { BatchRecorder, jsonEncoder, Tracer, ExplicitContext } = require("zipkin");
  const { HttpLogger } = require("zipkin-transport-http");
  const logger = new HttpLogger({
    endpoint: url,
    jsonEncoder: jsonEncoder.JSON_V2,
    httpInterval: 50,
    headers: authorization ? { Authorization: authorization } : {},
    log: { error: fail },
  });
  logger.on("success", () => process.exit());
  logger.on("error", fail);
  setTimeout(() => fail("no answer"), 30_000); // its timer keeps no process alive
  const tracer = new Tracer({ ctxImpl: new ExplicitContext(), recorder: new BatchRecorder({ logger }), localServiceName: "zipkin-js" });
  tracer.local("over https", () => {});
}

async function page() {
  const headers = authorization ? { Authorization: authorization } : {};
  for (const path of ["/", "/api/v1/services", "/api/v1/status"]) {
    const answer = await fetch(url + path, { headers });
    if (answer.status !== 200 && (path !== "/" || answer.status !== 404)) {
      // 404: the binary has no page, only what it shows
      fail(`${path}: ${answer.status} ${answer.headers.get("www-authenticate") ?? ""} ${await answer.text()}`);
      return;
    }
    await answer.text();
  }
}

function fail(message) {
  console.error(message);
  process.exit(1);
}

Promise.resolve({ jaeger, zipkin, page }[client]()).catch((e) => fail(`${e} ${e.cause ?? ""}`));

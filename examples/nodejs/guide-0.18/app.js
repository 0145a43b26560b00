// The app that the guide does not show: GET /hello says hello, in a span of its own.
const express = require("express");
const { trace } = require("@opentelemetry/api");

const app = express();

app.get("/hello", (req, res) => {
  const span = trace.getTracer("app").startSpan("say hello");
  span.setAttribute("hello.to", "Clew");
  setTimeout(() => {
    span.end();
    res.send("hello, Clew\n");
  }, 20);
});

const server = app.listen(process.env.PORT || 3000, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}/hello`);
});

// A small shop: GET /orders/ID answers an order, for which it asks GET /stock/ID of itself over HTTP.
"use strict";

const http = require("node:http");
const express = require("express");
const { SpanStatusCode, trace } = require("@opentelemetry/api");

const tracer = trace.getTracer("orders");
const app = express();

app.use(function countItems(req, res, next) {
  req.items = Number(req.query.items ?? 1);
  next();
});

app.get("/orders/:id", async (req, res) => {
  // A span of our own, around what we want to see: HTTP's and Express's come by themselves.
  const order = await tracer.startActiveSpan("price order", async (span) => {
    try {
      span.setAttributes({ "order.id": req.params.id, "order.items": req.items });
      const { left } = await get(`/stock/${req.params.id}`);
      span.addEvent("stock checked", { "stock.left": left });
      if (left < req.items) throw new Error(`${left} left, ${req.items} ordered`);
      return { id: req.params.id, items: req.items, price: req.items * 12.5 };
    } catch (err) {
      span.recordException(err);
      span.setStatus({ code: SpanStatusCode.ERROR, message: err.message });
      throw err;
    } finally {
      span.end();
    }
  });
  res.json(order);
});

app.get("/stock/:id", (req, res) => {
  setTimeout(() => res.json({ left: 3 }), 20);
});

app.use((err, req, res, next) => {
  res.status(500).json({ error: err.message });
});

function get(path) {
  return new Promise((resolve, reject) => {
    const request = http.get({ port: server.address().port, path }, (res) => {
      let body = "";
      res.on("data", (chunk) => (body += chunk));
      res.on("end", () => resolve(JSON.parse(body)));
    });
    request.on("error", reject);
  });
}

const server = app.listen(process.env.PORT ?? 3000, "127.0.0.1", (err) => {
  if (err) throw err;
  console.log(`http://127.0.0.1:${server.address().port}/orders/17`);
});

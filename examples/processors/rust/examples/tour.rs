//! An example that does one of everything that the SDK can do, to copy from. It is of no other use.

#[path = "../src/clew.rs"]
mod clew;

use clew::{Attributes, Kind, Level, Processor, Span, Status, Value};

struct Tour;

impl Processor for Tour {
    fn new(config: &str) -> Result<Self, String> {
        if !config.is_empty() {
            return Err("there is nothing to configure".to_string());
        }
        clew::log(Level::Info, "the tour begins");
        Ok(Tour)
    }

    fn resource(&mut self, resource: &mut Attributes) {
        if resource.delete("host.name") {
            resource.set("host.name.was", "deleted");
        }
    }

    fn span(&mut self, span: &mut Span) {
        span.set_name(span.name().to_uppercase());
        if span.kind() == Kind::Unspecified {
            span.set_kind(Kind::Internal);
        }
        if let (Status::Error, message) = span.status() {
            let message = format!("it was: {}", message);
            span.set_status(Status::Error, message);
        }
        let events: Vec<_> = span.events().collect();
        for event in &events {
            if let Some(of) = event.attributes.get("exception.type") {
                span.set("exception.type", of);
                span.set("exception.after", (event.time - span.start()) as i64);
            }
        }
        let texts = span.attributes.iter().filter(|(_, v)| matches!(v, Value::Text(_))).count();
        span.set("texts", texts as i64);
        span.set("trace.id", Value::Bytes(span.trace_id().to_vec().into()));
        span.set("root", span.parent().is_empty());
        span.set("seconds", (span.end() as i64 - span.start() as i64) as f64 / 1e9);
        if let Some(list) = span.get("list") {
            span.set("list.copy", list);
        }
        if let Some(service) = span.resource.get("service.name") {
            span.set("service", service);
        }
        if let Some(Value::Int(n)) = span.get("http.status_code") {
            span.set("http.status_code", n + 1);
        }
        span.delete("empty");
        span.delete("no.such.key");
    }
}

clew::processor!(Tour);

//! The SDK for processors of spans: what a WebAssembly module needs that Clew loads (docs/processors.md). It is this one file, without
//! dependencies: copy it beside your own.
//!
//! A processor is a type that implements `Processor`, and a line that says so:
//!
//! ```
//! mod clew;
//! use clew::{Processor, Span};
//!
//! struct Mine;
//!
//! impl Processor for Mine {
//!     fn new(_config: &str) -> Result<Self, String> { Ok(Mine) }
//!     fn span(&mut self, span: &mut Span) {
//!         if span.name() == "GET /healthz" { span.drop_it() }
//!     }
//! }
//!
//! clew::processor!(Mine);
//! ```
//!
//! Build it as a cdylib: `cargo build --release --target wasm32-unknown-unknown`. Spans that are not changed are never copied.

#![allow(dead_code)] // no processor needs all of it

use std::borrow::Cow;
use std::mem;

/// What a processor does.
pub trait Processor: Sized {
    /// Called once, at the start, with the text that Clew's configuration has for the processor. Of an error Clew says what it is, and
    /// does not start.
    fn new(config: &str) -> Result<Self, String>;

    /// Called with each resource, before its spans: what it changes, it changes for all of them.
    fn resource(&mut self, _resource: &mut Attributes) {}

    /// Called with each span.
    fn span(&mut self, span: &mut Span);
}

/// How important a line of the log is.
#[derive(Clone, Copy)]
pub enum Level {
    Debug = 0,
    Info = 1,
    Warn = 2,
    Error = 3,
}

/// Writes a line to Clew's log.
pub fn log(level: Level, text: &str) {
    unsafe { host::log(level as u32, text.as_ptr(), text.len()) }
}

/// An attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    Empty,
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Cow<'a, [u8]>),
    /// An array, as an OTLP AnyValue message.
    Array(&'a [u8]),
    /// A map, as an OTLP AnyValue message.
    Map(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The text of a Text, and "" for all others.
    pub fn text(&self) -> &str {
        match self {
            Value::Text(s) => s,
            _ => "",
        }
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(s: &'a str) -> Self {
        Value::Text(Cow::Borrowed(s))
    }
}

impl<'a> From<String> for Value<'a> {
    fn from(s: String) -> Self {
        Value::Text(Cow::Owned(s))
    }
}

impl<'a> From<i64> for Value<'a> {
    fn from(n: i64) -> Self {
        Value::Int(n)
    }
}

impl<'a> From<f64> for Value<'a> {
    fn from(n: f64) -> Self {
        Value::Double(n)
    }
}

impl<'a> From<bool> for Value<'a> {
    fn from(b: bool) -> Self {
        Value::Bool(b)
    }
}

/// An attribute: as it lies in the message, or as it was set.
enum Attribute<'a> {
    Lies { field: &'a [u8], key: &'a str, value: &'a [u8] },
    Set { key: Cow<'a, str>, value: Value<'a> },
}

impl<'a> Attribute<'a> {
    fn key(&self) -> &str {
        match self {
            Attribute::Lies { key, .. } => key,
            Attribute::Set { key, .. } => key,
        }
    }

    fn value(&self) -> Value<'a> {
        match self {
            Attribute::Lies { value, .. } => read_value(value),
            Attribute::Set { value, .. } => value.clone(),
        }
    }
}

/// The attributes of a span or resource.
#[derive(Default)]
pub struct Attributes<'a> {
    list: Vec<Attribute<'a>>,
    changed: bool,
}

impl<'a> Attributes<'a> {
    /// An attribute's value, if there is one.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.list.iter().find(|a| a.key() == key).map(|a| a.value())
    }

    /// All attributes, as keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Value<'a>)> {
        self.list.iter().map(|a| (a.key(), a.value()))
    }

    /// Sets an attribute.
    pub fn set(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        let new = Attribute::Set { key: key.into(), value: value.into() };
        self.changed = true;
        match self.list.iter_mut().find(|a| a.key() == new.key()) {
            Some(old) => *old = new,
            None => self.list.push(new),
        }
    }

    /// Removes an attribute, and says whether there was one.
    pub fn delete(&mut self, key: &str) -> bool {
        let before = self.list.len();
        self.list.retain(|a| a.key() != key);
        self.changed |= self.list.len() < before;
        self.list.len() < before
    }

    fn add(&mut self, field: &Field<'a>) {
        let (mut key, mut value): (&'a [u8], &'a [u8]) = (&[], &[]);
        for sub in Fields(field.body) {
            match sub.number {
                1 => key = sub.body,
                2 => value = sub.body,
                _ => {}
            }
        }
        self.list.push(Attribute::Lies { field: field.all, key: text(key), value });
    }

    fn append(&self, out: &mut Vec<u8>, number: u8) {
        for attribute in &self.list {
            match attribute {
                Attribute::Lies { field, .. } => out.extend_from_slice(field),
                Attribute::Set { key, value } => {
                    let at = open(out, number);
                    append_bytes(out, 1, key.as_bytes());
                    let inner = open(out, 2);
                    append_value(out, value);
                    shut(out, inner);
                    shut(out, at);
                }
            }
        }
    }
}

/// A span's kind, numbered as in OTLP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Unspecified = 0,
    Internal = 1,
    Server = 2,
    Client = 3,
    Producer = 4,
    Consumer = 5,
}

/// A span's status, numbered as in OTLP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Status {
    Unset = 0,
    Ok = 1,
    Error = 2,
}

/// Something that happened during a span.
pub struct Event<'a> {
    /// In ns since 1970.
    pub time: u64,
    pub name: &'a str,
    pub attributes: Attributes<'a>,
}

/// A span. Its attributes are those of OTLP; the resource's are apart.
pub struct Span<'a, 'r> {
    pub attributes: Attributes<'a>,
    /// What sent the span. `Processor::resource` is where it can be changed.
    pub resource: &'r Attributes<'a>,
    raw: &'a [u8],
    trace_id: &'a [u8],
    id: &'a [u8],
    parent: &'a [u8],
    start: u64,
    end: u64,
    name: Cow<'a, str>,
    kind: u64,
    status: u64,
    message: Cow<'a, str>,
    new_name: bool,
    new_kind: bool,
    new_status: bool,
    dropped: bool,
}

impl<'a, 'r> Span<'a, 'r> {
    /// Leaves the span out.
    pub fn drop_it(&mut self) {
        self.dropped = true;
    }

    /// The 16 bytes of the trace's ID.
    pub fn trace_id(&self) -> &[u8] {
        self.trace_id
    }

    /// The 8 bytes of the span's ID.
    pub fn id(&self) -> &[u8] {
        self.id
    }

    /// The 8 bytes of the parent's ID, or none.
    pub fn parent(&self) -> &[u8] {
        self.parent
    }

    /// When the span began, in ns since 1970.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// When the span ended, in ns since 1970.
    pub fn end(&self) -> u64 {
        self.end
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn set_name(&mut self, name: impl Into<Cow<'a, str>>) {
        self.name = name.into();
        self.new_name = true;
    }

    pub fn kind(&self) -> Kind {
        match self.kind {
            1 => Kind::Internal,
            2 => Kind::Server,
            3 => Kind::Client,
            4 => Kind::Producer,
            5 => Kind::Consumer,
            _ => Kind::Unspecified,
        }
    }

    pub fn set_kind(&mut self, kind: Kind) {
        self.kind = kind as u64;
        self.new_kind = true;
    }

    /// The span's status, and its message.
    pub fn status(&self) -> (Status, &str) {
        let status = match self.status {
            1 => Status::Ok,
            2 => Status::Error,
            _ => Status::Unset,
        };
        (status, &self.message)
    }

    pub fn set_status(&mut self, status: Status, message: impl Into<Cow<'a, str>>) {
        self.status = status as u64;
        self.message = message.into();
        self.new_status = true;
    }

    /// An attribute's value, if there is one.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        self.attributes.get(key)
    }

    /// Sets an attribute.
    pub fn set(&mut self, key: impl Into<Cow<'a, str>>, value: impl Into<Value<'a>>) {
        self.attributes.set(key, value)
    }

    /// Removes an attribute, and says whether there was one.
    pub fn delete(&mut self, key: &str) -> bool {
        self.attributes.delete(key)
    }

    /// The span's events.
    pub fn events(&self) -> impl Iterator<Item = Event<'a>> {
        Fields(self.raw).filter(|f| f.number == 11).map(|f| {
            let mut event = Event { time: 0, name: "", attributes: Attributes::default() };
            for sub in Fields(f.body) {
                match sub.number {
                    1 => event.time = sub.value,
                    2 => event.name = text(sub.body),
                    3 => event.attributes.add(&sub),
                    _ => {}
                }
            }
            event
        })
    }

    fn read(raw: &'a [u8], resource: &'r Attributes<'a>, list: Vec<Attribute<'a>>) -> Self {
        let mut s = Span {
            attributes: Attributes { list, changed: false },
            resource,
            raw,
            trace_id: &[],
            id: &[],
            parent: &[],
            start: 0,
            end: 0,
            name: Cow::Borrowed(""),
            kind: 0,
            status: 0,
            message: Cow::Borrowed(""),
            new_name: false,
            new_kind: false,
            new_status: false,
            dropped: false,
        };
        for f in Fields(raw) {
            match f.number {
                1 => s.trace_id = f.body,
                2 => s.id = f.body,
                4 => s.parent = f.body,
                5 => s.name = Cow::Borrowed(text(f.body)),
                6 => s.kind = f.value,
                7 => s.start = f.value,
                8 => s.end = f.value,
                9 => s.attributes.add(&f),
                15 => {
                    for sub in Fields(f.body) {
                        match sub.number {
                            2 => s.message = Cow::Borrowed(text(sub.body)),
                            3 => s.status = sub.value,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        s
    }

    fn changed(&self) -> bool {
        self.attributes.changed || self.new_name || self.new_kind || self.new_status
    }

    /// Appends a span that was changed: its fields as they are, but for those that were set.
    fn append(&self, out: &mut Vec<u8>) {
        for f in Fields(self.raw) {
            let new = match f.number {
                5 => self.new_name,
                6 => self.new_kind,
                9 => self.attributes.changed,
                15 => self.new_status,
                _ => false,
            };
            if !new {
                out.extend_from_slice(f.all);
            }
        }
        if self.new_name {
            append_bytes(out, 5, self.name.as_bytes());
        }
        if self.new_kind {
            append_number(out, 6, self.kind);
        }
        if self.new_status {
            let at = open(out, 15);
            append_bytes(out, 2, self.message.as_bytes());
            append_number(out, 3, self.status);
            shut(out, at);
        }
        if self.attributes.changed {
            self.attributes.append(out, 9);
        }
    }
}

/// Exports a processor. What it calls is of no use otherwise.
macro_rules! processor {
    ($processor:ty) => {
        static mut MODULE: Option<$crate::clew::Module<$processor>> = None;
        static mut INPUT: Vec<u8> = Vec::new();

        #[no_mangle]
        pub extern "C" fn clew_abi_1() {}

        #[no_mangle]
        #[allow(clippy::missing_safety_doc)] // Clew alone calls it
        pub unsafe extern "C" fn clew_alloc(size: usize) -> *mut u8 {
            let input = &mut *std::ptr::addr_of_mut!(INPUT);
            input.resize(size, 0);
            input.as_mut_ptr()
        }

        #[no_mangle]
        #[allow(clippy::missing_safety_doc)] // Clew alone calls it
        pub unsafe extern "C" fn clew_init(size: usize) -> u32 {
            let input = &*std::ptr::addr_of!(INPUT);
            match $crate::clew::Module::new(&input[..size]) {
                Ok(module) => {
                    *std::ptr::addr_of_mut!(MODULE) = Some(module);
                    0
                }
                Err(why) => {
                    $crate::clew::log($crate::clew::Level::Error, &why);
                    1
                }
            }
        }

        #[no_mangle]
        #[allow(clippy::missing_safety_doc)] // Clew alone calls it
        pub unsafe extern "C" fn clew_process(size: usize) -> u64 {
            let input = &*std::ptr::addr_of!(INPUT);
            match &mut *std::ptr::addr_of_mut!(MODULE) {
                Some(module) => module.process(&input[..size]),
                None => u64::MAX,
            }
        }
    };
}
pub(crate) use processor;

/// A processor at work. The batch is written anew from the first change on; until then there is nothing of it but where the change is.
pub struct Module<P> {
    processor: P,
    out: Vec<u8>,
}

/// The batch that is being read, and what is written of it.
struct Writer<'a, 'o> {
    input: &'a [u8],
    out: &'o mut Vec<u8>,
    copied: usize, // of input, so much is in out
}

/// A ResourceSpans or ScopeSpans: where it lies in the input, and where its length goes once something in it changed.
struct Message {
    at: usize,
    body: usize,
    end: usize,
    length: Option<usize>,
}

impl<'a, 'o> Writer<'a, 'o> {
    fn offset(&self, part: &[u8]) -> usize {
        part.as_ptr() as usize - self.input.as_ptr() as usize
    }

    fn message(&self, f: &Field) -> Message {
        let end = self.offset(f.all) + f.all.len();
        Message { at: self.offset(f.all), body: end - f.body.len(), end, length: None }
    }

    fn copy_to(&mut self, at: usize) {
        self.out.extend_from_slice(&self.input[self.copied..at]);
        self.copied = at;
    }

    fn begin(&mut self, m: &mut Message, number: u8) {
        if m.length.is_none() {
            self.copy_to(m.at);
            m.length = Some(open(self.out, number));
            self.copied = m.body;
        }
    }

    fn finish(&mut self, m: &Message) {
        if let Some(length) = m.length {
            self.copy_to(m.end);
            shut(self.out, length);
        }
    }

    /// Makes place for what comes instead of a field.
    fn replace(&mut self, f: &Field) {
        let at = self.offset(f.all);
        self.copy_to(at);
        self.copied = at + f.all.len();
    }
}

impl<P: Processor> Module<P> {
    pub fn new(config: &[u8]) -> Result<Self, String> {
        let config = std::str::from_utf8(config).map_err(|e| e.to_string())?;
        Ok(Module { processor: P::new(config)?, out: Vec::new() })
    }

    /// Processes a batch. 0 says that it stays as it is; else the result is where the new one lies, and in the lower half its size.
    pub fn process(&mut self, input: &[u8]) -> u64 {
        let mut out = mem::take(&mut self.out);
        out.clear();
        let mut w = Writer { input, out: &mut out, copied: 0 };
        for f in Fields(input).filter(|f| f.number == 1) {
            self.resource_spans(&mut w, &f);
        }
        let changed = w.copied > 0;
        if changed {
            w.copy_to(input.len());
        }
        self.out = out;
        if changed {
            (self.out.as_ptr() as u64) << 32 | self.out.len() as u64
        } else {
            0
        }
    }

    fn resource_spans<'a>(&mut self, w: &mut Writer<'a, '_>, f: &Field<'a>) {
        let mut message = w.message(f);
        let mut resource = Attributes::default();
        for sub in Fields(f.body).filter(|f| f.number == 1) {
            Fields(sub.body).filter(|f| f.number == 1).for_each(|f| resource.add(&f));
            self.processor.resource(&mut resource);
        }
        let mut list = Vec::new();
        for sub in Fields(f.body) {
            match sub.number {
                1 if resource.changed => {
                    w.begin(&mut message, 1);
                    w.replace(&sub);
                    let at = open(w.out, 1);
                    Fields(sub.body).filter(|f| f.number != 1).for_each(|f| w.out.extend_from_slice(f.all));
                    resource.append(w.out, 1);
                    shut(w.out, at);
                }
                2 => list = self.scope_spans(w, &mut message, (&sub, &resource, list)),
                _ => {}
            }
        }
        w.finish(&message);
    }

    /// Processes the spans of a scope; list is memory that is used again.
    fn scope_spans<'a>(&mut self, w: &mut Writer<'a, '_>, outer: &mut Message, of: (&Field<'a>, &Attributes<'a>, Vec<Attribute<'a>>)) -> Vec<Attribute<'a>> {
        let (f, resource, mut list) = of;
        let mut message = w.message(f);
        for sub in Fields(f.body).filter(|f| f.number == 2) {
            let mut span = Span::read(sub.body, resource, list);
            self.processor.span(&mut span);
            if span.dropped || span.changed() {
                w.begin(outer, 1);
                w.begin(&mut message, 2);
                w.replace(&sub);
                if !span.dropped {
                    let at = open(w.out, 2);
                    span.append(w.out);
                    shut(w.out, at);
                }
            }
            list = mem::take(&mut span.attributes.list);
            list.clear();
        }
        w.finish(&message);
        list
    }
}

mod host {
    #[link(wasm_import_module = "clew")]
    extern "C" {
        pub fn log(level: u32, text: *const u8, size: usize);
    }
}

// What follows is protobuf.

/// A field of a message: all of it, what is in it, or the number that it is.
struct Field<'a> {
    number: u64,
    all: &'a [u8],
    body: &'a [u8],
    value: u64,
}

/// The fields of a message. Clew hands over only what it has checked; what is no field ends it.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let input = self.0;
        let (tag, n) = varint(input)?;
        let rest = &input[n..];
        let mut f = Field { number: tag >> 3, all: input, body: &[], value: 0 };
        let size = match tag & 7 {
            0 => {
                let (value, size) = varint(rest)?;
                f.value = value;
                size
            }
            1 => {
                f.value = u64::from_le_bytes(rest.get(..8)?.try_into().ok()?);
                8
            }
            2 => {
                let (length, size) = varint(rest)?;
                f.body = rest[size..].get(..length as usize)?;
                size + length as usize
            }
            5 => {
                f.value = u32::from_le_bytes(rest.get(..4)?.try_into().ok()?) as u64;
                4
            }
            _ => return None,
        };
        f.all = &input[..n + size];
        self.0 = &input[n + size..];
        Some(f)
    }
}

/// Reads a number; the second value is how many bytes it has.
fn varint(input: &[u8]) -> Option<(u64, usize)> {
    let mut v = 0;
    for (i, &b) in input.iter().take(10).enumerate() {
        v |= ((b & 0x7f) as u64) << (7 * i);
        if b < 0x80 {
            return Some((v, i + 1));
        }
    }
    None
}

/// A text as it lies in a message; one that is not UTF-8 is shown as "".
fn text(b: &[u8]) -> &str {
    std::str::from_utf8(b).unwrap_or("")
}

fn read_value(raw: &[u8]) -> Value<'_> {
    let mut v = Value::Empty;
    for f in Fields(raw) {
        v = match f.number {
            1 => Value::Text(Cow::Borrowed(text(f.body))),
            2 => Value::Bool(f.value != 0),
            3 => Value::Int(f.value as i64),
            4 => Value::Double(f64::from_bits(f.value)),
            5 => Value::Array(raw),
            6 => Value::Map(raw),
            7 => Value::Bytes(Cow::Borrowed(f.body)),
            _ => v,
        }
    }
    v
}

fn append_value(out: &mut Vec<u8>, v: &Value) {
    match v {
        Value::Empty => {}
        Value::Text(s) => append_bytes(out, 1, s.as_bytes()),
        Value::Bool(b) => append_number(out, 2, *b as u64),
        Value::Int(n) => append_number(out, 3, *n as u64),
        Value::Double(d) => {
            out.push(4 << 3 | 1);
            out.extend_from_slice(&d.to_bits().to_le_bytes());
        }
        Value::Bytes(b) => append_bytes(out, 7, b),
        Value::Array(raw) | Value::Map(raw) => out.extend_from_slice(raw),
    }
}

fn append_varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

fn append_number(out: &mut Vec<u8>, number: u8, v: u64) {
    out.push(number << 3);
    append_varint(out, v);
}

fn append_bytes(out: &mut Vec<u8>, number: u8, b: &[u8]) {
    out.push(number << 3 | 2);
    append_varint(out, b.len() as u64);
    out.extend_from_slice(b);
}

/// Begins a message, and returns where its length goes. `shut` ends it.
fn open(out: &mut Vec<u8>, number: u8) -> usize {
    out.extend_from_slice(&[number << 3 | 2, 0, 0, 0, 0, 0]);
    out.len() - 5
}

fn shut(out: &mut Vec<u8>, at: usize) {
    let mut n = out.len() - at - 5;
    let mut size = 0;
    while n >= 0x80 {
        out[at + size] = n as u8 | 0x80;
        n >>= 7;
        size += 1;
    }
    out[at + size] = n as u8;
    out.drain(at + size + 1..at + 5);
}

//! An example of a processor: it takes the values out of SQL statements, so that what was asked for is not kept, and equal statements look
//! equal. `SELECT * FROM users WHERE id = 7 AND name = 'ann'` becomes `SELECT * FROM users WHERE id = ? AND name = ?`.
//!
//! Its configuration is the attributes to look at, one a line; without one, `db.statement` and `db.query.text`.

mod clew;

use clew::{Processor, Span, Value};

struct NormaliseSql {
    keys: Vec<String>,
}

impl Processor for NormaliseSql {
    fn new(config: &str) -> Result<Self, String> {
        let mut keys: Vec<String> = config.lines().map(|l| l.trim().to_string()).filter(|l| !l.is_empty()).collect();
        if let Some(bad) = keys.iter().find(|k| k.contains(' ')) {
            return Err(format!("want keys of attributes, one a line; {:?} is none", bad));
        }
        if keys.is_empty() {
            keys = vec!["db.statement".to_string(), "db.query.text".to_string()];
        }
        Ok(NormaliseSql { keys })
    }

    fn span(&mut self, span: &mut Span) {
        for key in &self.keys {
            if let Some(Value::Text(sql)) = span.get(key) {
                let normal = normalise(&sql);
                if normal != sql {
                    span.set(key.clone(), normal);
                }
            }
        }
    }
}

clew::processor!(NormaliseSql);

/// Replaces the texts and numbers of a statement by question marks.
fn normalise(sql: &str) -> String {
    let b = sql.as_bytes();
    let mut out = String::with_capacity(sql.len());
    let mut kept = 0; // up to here the statement is in out, or replaced
    let mut i = 0;
    while i < b.len() {
        let begins_word = i == 0 || !in_word(b[i - 1]);
        let end = match b[i] {
            b'\'' => end_of_text(b, i),
            b'0'..=b'9' if begins_word => i + b[i..].iter().take_while(|c| in_word(**c) || **c == b'.').count(),
            b'"' => {
                // the name of a column, say
                i += 1 + b[i + 1..].iter().position(|c| *c == b'"').map_or(b.len() - i - 1, |n| n + 1);
                continue;
            }
            _ => {
                i += 1;
                continue;
            }
        };
        out.push_str(&sql[kept..i]);
        out.push('?');
        kept = end;
        i = end;
    }
    out.push_str(&sql[kept..]);
    out
}

/// Where the text ends that begins at i; two quotes in it are one.
fn end_of_text(b: &[u8], mut i: usize) -> usize {
    i += 1;
    while i < b.len() {
        match (b[i], b.get(i + 1)) {
            (b'\'', Some(b'\'')) => i += 2,
            (b'\'', _) => return i + 1,
            _ => i += 1,
        }
    }
    b.len()
}

fn in_word(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'_' || c == b'$' || c >= 0x80
}

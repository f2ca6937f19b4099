//! A strict reader of JSON (RFC 8259) for the file that `aclInit` takes.

use std::collections::BTreeMap;

/// Objects and arrays may be nested this deep each, as in the runtime.
const DEPTH: usize = 10;

/// A value; numbers and literals keep their text, which is all that is asked of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Object(BTreeMap<String, Value>),
    Array(Vec<Value>),
    String(String),
    Scalar(String),
}

impl Value {
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Object(members) => members.get(key),
            _ => None,
        }
    }

    /// The text of a string, number or literal.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::String(text) | Self::Scalar(text) => Some(text),
            _ => None,
        }
    }
}

/// Reads one value with nothing but white space around it. The error says what is wrong and where.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { text, at: 0, objects: 0, arrays: 0 };
    let value = parser.value()?;
    parser.space();
    if parser.at != text.len() {
        return Err(parser.error("more text behind the value"));
    }
    Ok(value)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    objects: usize,
    arrays: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, what: &str) -> String {
        let line = self.text[..self.at].matches('\n').count() + 1;
        format!("{what} in line {line}")
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.space();
        let found = self.peek() == Some(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.eat(wanted) { Ok(()) } else { Err(self.error(&format!("'{wanted}' expected"))) }
    }

    fn value(&mut self) -> Result<Value, String> {
        self.space();
        match self.peek() {
            Some('{') => self.object(),
            Some('[') => self.array(),
            Some('"') => self.string().map(Value::String),
            Some('-' | '0'..='9') => self.number(),
            Some(_) => self.literal(),
            None => Err(self.error("unexpected end")),
        }
    }

    fn object(&mut self) -> Result<Value, String> {
        self.expect('{')?;
        self.objects += 1;
        if self.objects > DEPTH {
            return Err(self.error("objects nested more than 10 deep"));
        }
        let mut members = BTreeMap::new();
        if !self.eat('}') {
            loop {
                self.space();
                let key = self.string()?;
                self.expect(':')?;
                members.insert(key, self.value()?);
                if !self.eat(',') {
                    break;
                }
            }
            self.expect('}')?;
        }
        self.objects -= 1;
        Ok(Value::Object(members))
    }

    fn array(&mut self) -> Result<Value, String> {
        self.expect('[')?;
        self.arrays += 1;
        if self.arrays > DEPTH {
            return Err(self.error("arrays nested more than 10 deep"));
        }
        let mut items = Vec::new();
        if !self.eat(']') {
            loop {
                items.push(self.value()?);
                if !self.eat(',') {
                    break;
                }
            }
            self.expect(']')?;
        }
        self.arrays -= 1;
        Ok(Value::Array(items))
    }

    fn string(&mut self) -> Result<String, String> {
        if self.peek() != Some('"') {
            return Err(self.error("a string expected"));
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(next) = self.peek() else { return Err(self.error("a string without end")) };
            self.at += next.len_utf8();
            match next {
                '"' => return Ok(out),
                '\\' => out.push(self.escape()?),
                '\0'..='\u{1f}' => return Err(self.error("a control character in a string")),
                other => out.push(other),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let Some(next) = self.peek() else { return Err(self.error("a string without end")) };
        self.at += next.len_utf8();
        Ok(match next {
            '"' | '\\' | '/' => next,
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => {
                let first = self.hex()?;
                if (0xd800..0xdc00).contains(&first) && self.rest().starts_with("\\u") {
                    self.at += 2;
                    let second = self.hex()?;
                    let low = second.checked_sub(0xdc00).filter(|&low| low < 0x400);
                    low.and_then(|low| char::from_u32(0x10000 + ((first - 0xd800) << 10) + low))
                } else {
                    char::from_u32(first)
                }
                .ok_or_else(|| self.error("a lone surrogate"))?
            }
            _ => return Err(self.error("an unknown escape")),
        })
    }

    fn hex(&mut self) -> Result<u32, String> {
        let digits = self.rest().get(..4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(|| self.error("four hexadecimal digits expected"))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).map_err(|_| self.error("four hexadecimal digits expected"))
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some('-'));
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with('0') {
            return Err(self.error("a number with a leading zero"));
        }
        if self.peek() == Some('.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some('+' | '-')));
            self.digits()?;
        }
        Ok(Value::Scalar(self.text[start..self.at].to_owned()))
    }

    fn digits(&mut self) -> Result<&'a str, String> {
        let rest = self.rest();
        let len = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if len == 0 {
            return Err(self.error("a digit expected"));
        }
        self.at += len;
        Ok(&rest[..len])
    }

    fn literal(&mut self) -> Result<Value, String> {
        for word in ["true", "false", "null"] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(Value::Scalar(word.to_owned()));
            }
        }
        Err(self.error("a value expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed() {
        let value = parse(
            " {\"defaultDevice\": {\"default_device\": \"1\"}, \"a\": [1, -2.5e+3, true, null, {}, []]}\n",
        )
        .unwrap();
        assert_eq!(value.get("defaultDevice").unwrap().get("default_device").unwrap().text(), Some("1"));
        assert_eq!(parse("\"\\u00e9\\ud83d\\ude00\\n\"").unwrap().text(), Some("é😀\n"));
        assert!(parse(&format!("{}{}", "[".repeat(10), "]".repeat(10))).is_ok());
    }

    #[test]
    fn malformed() {
        for text in [
            "",
            "{",
            "}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "[1 2]",
            "01",
            "1.",
            "-",
            "tru",
            "\"",
            "\"\\x\"",
            "{} {}",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "{a:1}",
            "'a'",
            "\"\t\"",
            "nul",
            "\"\\u12g4\"",
            "\"\\u12é\"",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&format!("{}{}", "[".repeat(11), "]".repeat(11))).is_err());
        assert!(parse("{\n\n\"a\" 1}").unwrap_err().ends_with("line 3"));
    }
}

//! Writes small ONNX models, good and bad.

/// An element type's number.
pub const FLOAT: i64 = 1;
pub const UINT16: i64 = 4;
pub const INT64: i64 = 7;
pub const BOOL: i64 = 9;
pub const FLOAT16: i64 = 10;

/// One axis of a shape.
#[derive(Clone, Copy)]
pub enum Dim {
    Fixed(i64),
    Open(&'static str),
}

/// A graph while it is being written.
#[derive(Default)]
pub struct Graph(Vec<u8>);

impl Graph {
    pub fn new() -> Graph {
        Graph::default()
    }

    /// Adds an operator.
    pub fn node(mut self, operator: &str, inputs: &[&str], outputs: &[&str]) -> Graph {
        let mut node = Vec::new();
        inputs.iter().for_each(|name| field(&mut node, 1, name.as_bytes()));
        outputs.iter().for_each(|name| field(&mut node, 2, name.as_bytes()));
        field(&mut node, 4, operator.as_bytes());
        field(&mut self.0, 1, &node);
        self
    }

    /// Adds a weight whose data lies in another file.
    pub fn external(mut self, name: &str) -> Graph {
        let mut tensor = Vec::new();
        number(&mut tensor, 1, 1);
        number(&mut tensor, 2, FLOAT);
        field(&mut tensor, 8, name.as_bytes());
        number(&mut tensor, 14, 1);
        field(&mut self.0, 5, &tensor);
        self
    }

    pub fn input(self, name: &str, element: i64, dims: &[i64]) -> Graph {
        self.value(11, name, element, Some(&fixed(dims)))
    }

    pub fn output(self, name: &str, element: i64, dims: &[i64]) -> Graph {
        self.value(12, name, element, Some(&fixed(dims)))
    }

    /// Adds an input (11) or output (12), without a shape if there is none.
    pub fn value(mut self, side: u64, name: &str, element: i64, dims: Option<&[Dim]>) -> Graph {
        let mut tensor = Vec::new();
        number(&mut tensor, 1, element);
        if let Some(dims) = dims {
            let mut shape = Vec::new();
            for dim in dims {
                let mut axis = Vec::new();
                match dim {
                    Dim::Fixed(size) => number(&mut axis, 1, *size),
                    Dim::Open(name) => field(&mut axis, 2, name.as_bytes()),
                }
                field(&mut shape, 1, &axis);
            }
            field(&mut tensor, 2, &shape);
        }
        let (mut kind, mut value) = (Vec::new(), Vec::new());
        field(&mut kind, 1, &tensor);
        field(&mut value, 1, name.as_bytes());
        field(&mut value, 2, &kind);
        field(&mut self.0, side, &value);
        self
    }

    /// The whole file.
    pub fn file(self) -> Vec<u8> {
        let (mut file, mut operators) = (Vec::new(), Vec::new());
        number(&mut file, 1, 7);
        field(&mut file, 7, &self.0);
        field(&mut operators, 1, b"");
        number(&mut operators, 2, 13);
        field(&mut file, 8, &operators);
        file
    }
}

/// One operator from `x` to `y`, both of this type and shape.
pub fn unary(operator: &str, element: i64, dims: &[i64]) -> Vec<u8> {
    Graph::new().node(operator, &["x"], &["y"]).input("x", element, dims).output("y", element, dims).file()
}

fn fixed(dims: &[i64]) -> Vec<Dim> {
    dims.iter().map(|&dim| Dim::Fixed(dim)).collect()
}

fn varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

fn number(to: &mut Vec<u8>, field: u64, value: i64) {
    varint(to, field << 3);
    varint(to, value as u64);
}

fn field(to: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    varint(to, field << 3 | 2);
    varint(to, bytes.len() as u64);
    to.extend_from_slice(bytes);
}

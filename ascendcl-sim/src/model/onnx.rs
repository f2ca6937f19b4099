//! What the simulator itself reads from an ONNX file: the model's inputs and outputs and the size of its weights. Running the
//! graph is the engine's business.
//!
//! The whole file is walked before the engine sees it. An engine may believe a length field and allocate what it says, recurse
//! as deep as the file nests, or never come to the end of a number that has none (seen with `rten` 0.27); and a failed allocation,
//! an overflown stack or an endless loop cannot be caught. So lengths, nesting and numbers are checked here, where a bad file is
//! only an error.

use super::wire::{Field, Fields, Malformed};

/// How deep messages may nest. Protocol Buffers libraries draw the line at the same number.
const MAX_DEPTH: usize = 100;

/// A graph's input or output as the file declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) name: String,
    /// ONNX's number of the element type; `None` if the value is no tensor or has no type.
    pub(crate) element: Option<i64>,
    /// `None` if the file says nothing about the shape.
    pub(crate) dims: Option<Vec<Dim>>,
}

/// One axis of a declared shape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Dim {
    Fixed(i64),
    /// Decided at run time, with the name the file gives to it.
    Open(String),
}

/// What an ONNX file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outline {
    pub(crate) inputs: Vec<Declared>,
    pub(crate) outputs: Vec<Declared>,
    /// Names of what the graph's operators compute.
    pub(crate) computed: Vec<String>,
    /// Bytes of all initialisers of the graph.
    pub(crate) weight_bytes: usize,
    /// A tensor whose data lies in another file, if there is one.
    pub(crate) external: Option<String>,
    /// The model's properties, in file order. Those that are not text are left out.
    pub(crate) metadata: Vec<(String, String)>,
}

/// Reads and checks a whole file.
pub(crate) fn outline(file: &[u8]) -> Result<Outline, Malformed> {
    check(file, Message::Model, 0)?;
    let (mut version, mut graph, mut operators, mut metadata) = (None, None, None, Vec::new());
    for field in Fields::of(file) {
        match field? {
            (1, Field::Varint(value)) => version = Some(value),
            // Two parts of one message are to be merged, says the format; no exporter writes that.
            (7, Field::Bytes(_)) if graph.is_some() => return Err("it holds two graphs".into()),
            (7, Field::Bytes(bytes)) => graph = Some(bytes),
            (8, Field::Bytes(set)) => operators = Some(set),
            (14, Field::Bytes(entry)) => metadata.extend(read_property(entry)?),
            _ => {}
        }
    }
    if version.is_none() {
        return Err("it has no IR version".into());
    }
    if operators.is_none() {
        return Err("it names no operator set".into());
    }
    Ok(Outline { metadata, ..read_graph(graph.ok_or("it has no graph")?)? })
}

/// A key and its value, if both are text.
fn read_property(entry: &[u8]) -> Result<Option<(String, String)>, Malformed> {
    let (mut key, mut value) = (Some(String::new()), Some(String::new()));
    for field in Fields::of(entry) {
        match field? {
            (1, Field::Bytes(bytes)) => key = text(bytes).ok(),
            (2, Field::Bytes(bytes)) => value = text(bytes).ok(),
            _ => {}
        }
    }
    Ok(key.zip(value))
}

fn read_graph(graph: &[u8]) -> Result<Outline, Malformed> {
    let mut outline = Outline::default();
    let mut initialised = Vec::new();
    for field in Fields::of(graph) {
        match field? {
            (1, Field::Bytes(node)) => {
                for field in Fields::of(node) {
                    if let (2, Field::Bytes(name)) = field? {
                        outline.computed.push(text(name)?);
                    }
                }
            }
            (5, Field::Bytes(tensor)) => {
                let (name, external) = read_initializer(tensor)?;
                outline.weight_bytes += tensor.len();
                if external && outline.external.is_none() {
                    outline.external = Some(name.clone());
                }
                initialised.push(name);
            }
            (11, Field::Bytes(value)) => outline.inputs.push(read_value(value)?),
            (12, Field::Bytes(value)) => outline.outputs.push(read_value(value)?),
            _ => {}
        }
    }
    // Files of IR version 3 list their weights among the inputs; those are not the caller's to supply.
    outline.inputs.retain(|input| !initialised.contains(&input.name));
    if outline.outputs.is_empty() {
        return Err("its graph has no output".into());
    }
    Ok(outline)
}

/// A weight's name, and whether its data lies in another file.
fn read_initializer(tensor: &[u8]) -> Result<(String, bool), Malformed> {
    let (mut name, mut external) = (String::new(), false);
    for field in Fields::of(tensor) {
        match field? {
            (8, Field::Bytes(bytes)) => name = text(bytes)?,
            (14, Field::Varint(location)) => external = location == 1,
            _ => {}
        }
    }
    Ok((name, external))
}

fn read_value(value: &[u8]) -> Result<Declared, Malformed> {
    let mut declared = Declared { name: String::new(), element: None, dims: None };
    for field in Fields::of(value) {
        match field? {
            (1, Field::Bytes(bytes)) => declared.name = text(bytes)?,
            (2, Field::Bytes(kind)) => {
                let tensor = last_message(kind, 1)?;
                (declared.element, declared.dims) = tensor.map_or(Ok((None, None)), read_tensor_type)?;
            }
            _ => {}
        }
    }
    if declared.name.is_empty() {
        return Err("an input or output has no name".into());
    }
    // The C interface hands names out as C strings.
    if declared.name.contains('\0') {
        return Err("the name of an input or output holds a zero byte".into());
    }
    Ok(declared)
}

fn read_tensor_type(tensor: &[u8]) -> Result<(Option<i64>, Option<Vec<Dim>>), Malformed> {
    let mut element = None;
    for field in Fields::of(tensor) {
        if let (1, field) = field? {
            element = field.int();
        }
    }
    let Some(shape) = last_message(tensor, 2)? else { return Ok((element, None)) };
    let mut dims = Vec::new();
    for field in Fields::of(shape) {
        if let (1, Field::Bytes(dim)) = field? {
            dims.push(read_dim(dim)?);
        }
    }
    Ok((element, Some(dims)))
}

fn read_dim(dim: &[u8]) -> Result<Dim, Malformed> {
    let mut result = Dim::Open("?".into());
    for field in Fields::of(dim) {
        match field? {
            (1, Field::Varint(value)) => result = Dim::Fixed(value as i64),
            (2, Field::Bytes(name)) => result = Dim::Open(text(name)?),
            _ => {}
        }
    }
    Ok(result)
}

/// The nested message in field `number`; the last one, as the format has it.
fn last_message(message: &[u8], number: u64) -> Result<Option<&[u8]>, Malformed> {
    let mut found = None;
    for field in Fields::of(message) {
        match field? {
            (n, field) if n == number => found = field.bytes().or(found),
            _ => {}
        }
    }
    Ok(found)
}

fn text(bytes: &[u8]) -> Result<String, Malformed> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a name is not UTF-8".into())
}

/// The kinds of message that an ONNX file is made of, as far as nesting goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    SparseTensor,
    Value,
    Type,
    TensorType,
    /// Sequence, map and optional types, which hold a type in field 1 or 2.
    OuterType,
    Shape,
    /// A message of numbers and strings only.
    Flat,
}

impl Message {
    /// The kind of message in field `number`; `None` for numbers, strings and what is unknown.
    fn child(self, number: u64) -> Option<Message> {
        use Message::*;
        Some(match (self, number) {
            (Model, 7) => Graph,
            (Model, 8 | 14) => Flat,
            (Graph, 1) => Node,
            (Graph, 5) => Tensor,
            (Graph, 11..=13) => Value,
            (Graph, 15) => SparseTensor,
            (Node, 5) => Attribute,
            (Attribute, 5 | 10) => Tensor,
            (Attribute, 6 | 11) => Graph,
            (Attribute, 14 | 15) => Type,
            (Attribute, 22 | 23) => SparseTensor,
            (Tensor, 13) => Flat,
            (SparseTensor, 1 | 2) => Tensor,
            (Value, 2) => Type,
            (Type, 1 | 8) => TensorType,
            (Type, 4 | 5 | 9) => OuterType,
            (TensorType, 2) => Shape,
            (OuterType, 1 | 2) => Type,
            (Shape, 1) => Flat,
            _ => return None,
        })
    }

    /// The kind of numbers in field `number`, if it is an array.
    fn packed(self, number: u64) -> Option<Packed> {
        match (self, number) {
            // Dimensions; 32-bit, 64-bit and unsigned 64-bit data; an attribute's integers.
            (Message::Tensor, 1 | 5 | 7 | 11) | (Message::Attribute, 8) => Some(Packed::Varints),
            (Message::Tensor, 4) | (Message::Attribute, 7) => Some(Packed::Fixed(4)),
            (Message::Tensor, 10) => Some(Packed::Fixed(8)),
            _ => None,
        }
    }
}

/// How the numbers of an array are packed into one field.
enum Packed {
    Varints,
    Fixed(usize),
}

/// Walks a message and all messages in it.
fn check(message: &[u8], kind: Message, depth: usize) -> Result<(), Malformed> {
    if depth > MAX_DEPTH {
        return Err(format!("its messages nest deeper than {MAX_DEPTH}"));
    }
    for field in Fields::of(message) {
        let (number, field) = field?;
        let Field::Bytes(bytes) = field else { continue };
        if let Some(child) = kind.child(number) {
            check(bytes, child, depth + 1)?;
        }
        match kind.packed(number) {
            Some(Packed::Varints) => Fields::check_varints(bytes)?,
            Some(Packed::Fixed(size)) if bytes.len() % size != 0 => {
                return Err(format!("an array of {} bytes with elements of {size}", bytes.len()));
            }
            Some(Packed::Fixed(_)) | None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGITS: &[u8] = include_bytes!("../../../examples/assets/digits/digits.onnx");

    fn nested(number: u8, inner: &[u8]) -> Vec<u8> {
        let mut message = vec![number << 3 | 2];
        let mut length = inner.len();
        while length >= 0x80 {
            message.push(length as u8 | 0x80);
            length >>= 7;
        }
        message.push(length as u8);
        message.extend_from_slice(inner);
        message
    }

    #[test]
    fn describes_the_digit_classifier() {
        let outline = outline(DIGITS).unwrap();
        let fixed = |dims: &[i64]| Some(dims.iter().map(|&dim| Dim::Fixed(dim)).collect());
        let [input, output] = [&outline.inputs[0], &outline.outputs[0]];
        assert_eq!((outline.inputs.len(), outline.outputs.len()), (1, 1));
        assert_eq!(
            (input.name.as_str(), input.element, &input.dims),
            ("image", Some(1), &fixed(&[1, 1, 8, 8]))
        );
        assert_eq!((output.name.as_str(), &output.dims), ("probabilities", &fixed(&[1, 10])));
        assert!(outline.weight_bytes >= 38_282 * 4 && outline.weight_bytes < 160_000);
        assert_eq!(outline.external, None);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        // A cut between two top-level fields leaves well-formed bytes, but takes the graph or the operator set away.
        for length in 0..DIGITS.len() {
            if let Ok(outline) = outline(&DIGITS[..length]) {
                panic!("{length} of {} bytes read as {outline:?}", DIGITS.len());
            }
        }
    }

    #[test]
    fn endless_nesting_is_refused() {
        // A graph in an attribute of a node of a graph, and so on, as in a loop's body.
        let mut graph = Vec::new();
        for _ in 0..1_000 {
            graph = nested(1, &nested(5, &nested(6, &graph)));
        }
        assert!(outline(&nested(7, &graph)).unwrap_err().contains("deeper"));
        // A type in a sequence type in a type.
        let mut kind = Vec::new();
        for _ in 0..1_000 {
            kind = nested(4, &nested(1, &kind));
        }
        assert!(outline(&nested(7, &nested(11, &nested(2, &kind)))).unwrap_err().contains("deeper"));
    }
}
